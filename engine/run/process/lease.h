// Who works on a piece of work that several processes, on one machine or several, share as a folder. Attempt k takes
// `claim-<k>` by the rename of a folder that holds lease.json already, so that of several that try at once one
// succeeds and a claim is never without its owner. The owner renews its lease; on another machine, a lease that is not
// renewed for two minutes is lost. An attempt that ends writes exit.json into its claim.
#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "engine/base/status.h"

namespace lanthorn {

// The newest claim of a folder.
struct Claim {
  int number = 0;      // 0: there is none
  int64_t pid = 0;     // of its owner
  std::string host;    // of its owner
  bool alive = false;  // not ended, and the owner exists or renewed its lease in time
  std::string exit;    // exit.json; empty while there is none
};

// With `brief` the owner of a claim that has ended is not looked up: lists of many are faster.
Claim ReadClaim(const std::string& folder, bool brief = false);

// The file names that claims have.
std::string ClaimFolder(const std::string& folder, int number);

// A claim of this process. Its thread renews the lease until it is destroyed.
class Lease {
 public:
  static constexpr std::chrono::seconds kRenewal{30};
  static constexpr std::chrono::seconds kLost{120};

  // Takes claim `number`; null when another process has it. MachineError when the folder cannot be written.
  static absl::StatusOr<std::unique_ptr<Lease>> Take(const std::string& folder, int number,
                                                     std::chrono::milliseconds renewal = kRenewal);
  ~Lease();

  // Writes exit.json, after which the claim is over.
  absl::Status End(const std::string& exit_json);

 private:
  explicit Lease(std::string claim) : claim_(std::move(claim)) {}
  void Renew(std::chrono::milliseconds renewal);

  const std::string claim_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace lanthorn
