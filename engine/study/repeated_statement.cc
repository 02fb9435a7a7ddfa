#include "engine/study/repeated_statement.h"

#include <signal.h>

#include <utility>

namespace lanthorn {

RepeatedStatement::RepeatedStatement(std::unique_ptr<Database> database, std::string sql,
                                     std::vector<DatabaseValue> parameters, std::chrono::milliseconds interval)
    : database_(std::move(database)) {
  sigset_t all, before;  // signals are for the main thread
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this, sql = std::move(sql), parameters = std::move(parameters), interval] {
    Repeat(sql, parameters, interval);
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
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
  while (!wake_.wait_for(lock, interval, [this] { return stopping_; })) {
    lock.unlock();
    (void)database_->Execute(sql, parameters);
    database_->Disconnect();
    lock.lock();
  }
}

}  // namespace lanthorn
