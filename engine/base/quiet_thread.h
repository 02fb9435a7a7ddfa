// Threads that take no signals: those are for the main thread.
#pragma once

#include <signal.h>

#include <thread>
#include <utility>

namespace lanthorn {

template <typename F>
std::thread StartQuietThread(F&& f) {
  class Blocked {
   public:
    Blocked() {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~Blocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

   private:
    sigset_t before_;
  };
  const Blocked blocked;  // a thread starts with the mask of its maker
  return std::thread(std::forward<F>(f));
}

}  // namespace lanthorn
