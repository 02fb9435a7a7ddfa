#include "engine/train/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace lanthorn::train {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP};
std::atomic<int> received{0};
struct sigaction before[3];

void Handle(int signal) {
  if (signal == SIGINT && received.load() == SIGINT) _exit(130);
  received.store(signal);
}

}  // namespace

SignalScope::SignalScope() {
  received = 0;
  for (int i = 0; i < 3; ++i) {
    struct sigaction action = {};
    action.sa_handler = &Handle;
    sigemptyset(&action.sa_mask);
    sigaction(kSignals[i], nullptr, &before[i]);
    if (kSignals[i] == SIGHUP && before[i].sa_handler == SIG_IGN) continue;
    sigaction(kSignals[i], &action, nullptr);
  }
}

SignalScope::~SignalScope() {
  for (int i = 0; i < 3; ++i) sigaction(kSignals[i], &before[i], nullptr);
}

int SignalScope::Received() { return received; }

}  // namespace lanthorn::train
