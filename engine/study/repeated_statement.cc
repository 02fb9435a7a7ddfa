#include "engine/study/repeated_statement.h"

#include <algorithm>
#include <utility>

#include "engine/base/quiet_thread.h"

namespace lanthorn {
namespace {

constexpr std::chrono::milliseconds kRetry{5000};

}  // namespace

RepeatedStatement::RepeatedStatement(std::unique_ptr<Database> database, std::string sql,
                                     std::vector<DatabaseValue> parameters, std::chrono::milliseconds interval)
    : database_(std::move(database)) {
  thread_ = StartQuietThread([this, sql = std::move(sql), parameters = std::move(parameters), interval] {
    Repeat(sql, parameters, interval);
  });
}

RepeatedStatement::~RepeatedStatement() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  database_->Interrupt();
  thread_.join();
}

void RepeatedStatement::Repeat(const std::string& sql, const std::vector<DatabaseValue>& parameters,
                               std::chrono::milliseconds interval) {
  std::unique_lock lock(mutex_);
  std::chrono::milliseconds wait = interval;
  while (!wake_.wait_for(lock, wait, [this] { return stopping_; })) {
    lock.unlock();
    wait = database_->Execute(sql, parameters).ok() ? interval : std::min(interval, kRetry);
    database_->Disconnect();
    lock.lock();
  }
}

}  // namespace lanthorn
