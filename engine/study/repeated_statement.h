// A statement that is run every so often in the background, such as the renewal of a lease.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "engine/study/database.h"

namespace lanthorn {

// Runs it from its own thread by a connection of its own, first after one interval. What fails is tried again
// after 5 s.
class RepeatedStatement {
 public:
  RepeatedStatement(std::unique_ptr<Database> database, std::string sql, std::vector<DatabaseValue> parameters,
                    std::chrono::milliseconds interval);
  // Interrupts a statement that is running.
  ~RepeatedStatement();

 private:
  void Repeat(const std::string& sql, const std::vector<DatabaseValue>& parameters, std::chrono::milliseconds interval);

  std::unique_ptr<Database> database_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lanthorn
