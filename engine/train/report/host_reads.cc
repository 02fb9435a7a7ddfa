#include "engine/train/report/host_reads.h"

#include <ATen/record_function.h>

#include <atomic>
#include <string>

namespace lanthorn::train {
namespace {

std::atomic<int64_t> values_read{0}, syncs_made{0};

bool OnDevice(const at::RecordFunction& f, size_t input) {
  if (f.inputs().size() <= input || !f.inputs()[input].isTensor()) return false;
  const at::Tensor& tensor = f.inputs()[input].toTensor();
  return tensor.defined() && !tensor.device().is_cpu();
}

std::unique_ptr<at::ObserverContext> Look(const at::RecordFunction& f) {
  const std::string name = f.name();
  if (name == "aten::_local_scalar_dense") {
    ++values_read;
    if (OnDevice(f, 0)) ++syncs_made;
  } else if ((name == "aten::copy_" && OnDevice(f, 1) && !OnDevice(f, 0)) ||
             (name == "aten::nonzero" && OnDevice(f, 0))) {
    ++syncs_made;
  }
  return nullptr;
}

}  // namespace

HostReadScope::HostReadScope(bool active) {
  if (!active) return;
  values_read = syncs_made = 0;
  handle_ = at::addGlobalCallback(at::RecordFunctionCallback(&Look).needsInputs(true));
}

HostReadScope::~HostReadScope() {
  if (handle_) at::removeCallback(*handle_);
}

HostReads HostReadScope::Count() const { return {values_read, syncs_made}; }

void HostReadMeans::Add(const HostReads& update, const HostReads& optimizer) {
  ++updates_;
  update_ += update;
  optimizer_ += optimizer;
}

}  // namespace lanthorn::train
