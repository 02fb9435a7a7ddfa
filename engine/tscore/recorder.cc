#include "engine/tscore/recorder.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_format.h"
#include "engine/base/square_sum.h"
#include "engine/tscore/tally.h"

namespace lanthorn::tscore {
namespace {
thread_local Recorder::Ptr current;

// The uses of a parameter behind a tensor that is computed from it: the sample's gradient of that tensor, taken back
// through the computation.
class DerivedUse final : public Use {
 public:
  DerivedUse(int64_t samples, std::shared_ptr<std::vector<std::unique_ptr<Use>>> inner, at::Tensor twin,
             at::Tensor leaf)
      : samples_(samples), inner_(std::move(inner)), twin_(std::move(twin)), leaf_(std::move(leaf)) {}
  int64_t samples() const override { return samples_; }

  void AddSampleGradient(int64_t sample, const at::Tensor& tile) const override {
    const at::Tensor outer = at::zeros_like(twin_.detach());
    for (const auto& use : *inner_) use->AddSampleGradient(sample, outer);
    const at::AutoGradMode with_grad(true);
    const at::Tensor own = torch::autograd::grad({twin_}, {leaf_}, {outer}, /*retain_graph=*/true,
                                                 /*create_graph=*/false, /*allow_unused=*/true)[0];
    const at::NoGradGuard no_grad;
    if (own.defined()) tile.add_(own);
  }

  at::Tensor SampleSquares() const override {
    const at::Tensor squares = at::zeros({samples_}, at::TensorOptions(c10::kDouble));
    for (int64_t i = 0; i < samples_; ++i) {
      const at::Tensor tile = at::zeros_like(leaf_.detach());
      AddSampleGradient(i, tile);
      squares[i] = SquareSum({tile});
    }
    return squares;
  }

 private:
  int64_t samples_;
  std::shared_ptr<std::vector<std::unique_ptr<Use>>> inner_;
  at::Tensor twin_, leaf_;
};

// || A_i + B_i ||^2 = || A_i ||^2 + || B_i ||^2 + 2 <A_i, B_i>; undefined where neither use is one of rows that the
// other can be multiplied with.
at::Tensor SquaresOfTwo(const Use& a, const Use& b) {
  const auto with = [](const Use& dense, const Use& other) {
    const std::optional<RowUse> rows = other.Rows();
    return rows ? dense.ProductsWith(*rows) : at::Tensor();
  };
  at::Tensor products = with(a, b);
  if (!products.defined()) products = with(b, a);
  if (!products.defined()) return {};
  // Rounding may leave less than nothing of gradients that cancel; NaN stays.
  return (a.SampleSquares() + b.SampleSquares() + 2 * products).clamp_min(0);
}

}  // namespace

void Use::AddElementSquares(const at::Tensor& sums) const {
  const at::Tensor tile = at::empty_like(sums);
  for (int64_t i = 0; i < samples(); ++i) {
    AddSampleGradient(i, tile.zero_());
    sums.addcmul_(tile, tile);
  }
}

at::Tensor Use::ProductsWith(const RowUse&) const { return {}; }

Recorder::Ptr Recorder::Open(int64_t samples) {
  current = Ptr(new Recorder(samples));
  return current;
}

Recorder::Ptr Recorder::Current() { return current; }
bool Recorder::IsOpen() { return current != nullptr; }

Recorder::Pause::Pause() : hidden_(std::exchange(current, nullptr)) {}
Recorder::Pause::~Pause() { current = std::move(hidden_); }

Recorder::Resume::Resume(Ptr recorder) : before_(std::exchange(current, std::move(recorder))) {}
Recorder::Resume::~Resume() { current = std::move(before_); }

void Recorder::Close() {
  if (current.get() == this) current.reset();
}

void Recorder::Report(const at::Tensor& parameter, const char* layer, std::unique_ptr<Use> use) {
  if (finished_) return;  // a later backward through the same graph
  if (samples_ == kFromFirstReport) samples_ = use->samples();
  if (use->samples() != samples_) {
    Refuse(absl::StrFormat("%s saw %d samples in dimension 0, the batch has %d", layer, use->samples(), samples_));
    return;
  }
  uses_[parameter.unsafeGetTensorImpl()].push_back({layer, std::move(use)});
}

void Recorder::Refuse(const std::string& reason) {
  if (refused_.empty()) refused_ = reason;
}

void Recorder::RefuseUse(const at::Tensor& parameter, const std::string& reason) {
  refused_uses_.emplace(parameter.unsafeGetTensorImpl(), reason);
}

void Recorder::AddDerived(Derived derived) {
  const void* const key = derived.tensor.unsafeGetTensorImpl();
  derived_.insert_or_assign(key, std::move(derived));
}

const Recorder::Derived* Recorder::FindDerived(const at::Tensor& tensor) const {
  const auto found = derived_.find(tensor.unsafeGetTensorImpl());
  return found == derived_.end() ? nullptr : &found->second;
}

void Recorder::ResolveDerived() {
  for (auto& [key, derived] : derived_) {
    const auto found = uses_.find(key);
    if (found == uses_.end()) continue;
    const auto inner = std::make_shared<std::vector<std::unique_ptr<Use>>>();
    for (Entry& entry : found->second) inner->push_back(std::move(entry.use));
    const char* const layer = found->second.front().layer;
    uses_.erase(found);
    for (size_t i = 0; i < derived.parameters.size(); ++i) {
      uses_[derived.parameters[i].unsafeGetTensorImpl()].push_back(
          {layer, std::make_unique<DerivedUse>(samples_, inner, derived.twin, derived.leaves[i])});
    }
  }
}

absl::Status Recorder::CheckUses(const std::vector<NamedParameter>& parameters,
                                 const std::vector<bool>& received) const {
  for (size_t p = 0; p < parameters.size(); ++p) {
    const auto refused = refused_uses_.find(parameters[p].tensor.unsafeGetTensorImpl());
    if (received[p] && refused != refused_uses_.end())
      return ConfigError("tscore: parameter '" + parameters[p].name + "' " + refused->second);
  }
  // Last: what is wrong of the whole may come from such a use, and that names its parameter.
  return refused_.empty() ? absl::OkStatus() : ConfigError("tscore: " + refused_);
}

absl::StatusOr<const std::vector<Recorder::Entry>*> Recorder::EntriesOf(const NamedParameter& parameter) const {
  const auto found = uses_.find(parameter.tensor.unsafeGetTensorImpl());
  if (found != uses_.end()) return &found->second;
  return ConfigError(
      "tscore: parameter '" + parameter.name +
      "' received a gradient but no layer reported its samples; use a layer with a sampler, or tscore.mode='loop'");
}

absl::StatusOr<std::vector<double>> Recorder::SquaresOf(const NamedParameter& parameter) const {
  LANTHORN_ASSIGN_OR_RETURN(const std::vector<Entry>* const found, EntriesOf(parameter));
  const std::vector<Entry>& entries = *found;
  at::Tensor known;
  if (entries.size() == 1) known = entries[0].use->SampleSquares();
  if (entries.size() == 2) known = SquaresOfTwo(*entries[0].use, *entries[1].use);
  if (known.defined()) {
    known = known.to(c10::kCPU, c10::kDouble).contiguous();
    return std::vector<double>(known.data_ptr<double>(), known.data_ptr<double>() + samples_);
  }
  std::vector<double> squares;
  const at::Tensor tile = at::empty_like(parameter.tensor);
  for (int64_t i = 0; i < samples_; ++i) {
    tile.zero_();
    for (const Entry& entry : entries) entry.use->AddSampleGradient(i, tile);
    squares.push_back(SquareSum({tile}));
  }
  return squares;
}

absl::Status Recorder::Verify(const NamedParameter& parameter, double whole) const {
  const at::Tensor sum = at::zeros_like(parameter.tensor);
  for (const Entry& entry : uses_.at(parameter.tensor.unsafeGetTensorImpl())) {
    for (int64_t i = 0; i < samples_; ++i) entry.use->AddSampleGradient(i, sum);
  }
  const double gradient = std::sqrt(SquareSum({parameter.tensor.grad()}));
  const double difference = std::sqrt(SquareSum({sum - parameter.tensor.grad()}));
  const bool wide = parameter.tensor.scalar_type() == c10::kDouble;
  // A gradient that cancels is rounding noise: what is small against the whole model's gradients cannot be told from
  // it.
  const double tolerance = wide ? 1e-8 : 1e-2, noise = wide ? 1e-12 : 1e-5;
  if (difference <= tolerance * gradient + noise * whole) return absl::OkStatus();
  return ConfigError(
      absl::StrFormat("tscore: the reported samples of '%s' do not add up to its gradient (off by %.2g of %.2g): some "
                      "use of it is outside "
                      "of a layer with a sampler; use tscore.mode='loop'",
                      parameter.name, difference, gradient));
}

absl::Status Recorder::Settle(const std::vector<NamedParameter>& parameters, const std::vector<bool>& received) {
  Close();
  finished_ = true;
  LANTHORN_RETURN_IF_ERROR(CheckUses(parameters, received));
  samples_ = std::max<int64_t>(samples_, 0);
  ResolveDerived();
  return absl::OkStatus();
}

void Recorder::Forget() {
  uses_.clear();
  derived_.clear();
}

absl::StatusOr<std::vector<at::Tensor>> Recorder::ElementSquares(const std::vector<NamedParameter>& parameters) {
  const absl::Cleanup forget = [this] { Forget(); };
  const at::NoGradGuard no_grad;
  std::vector<bool> received;
  for (const NamedParameter& parameter : parameters) received.push_back(parameter.tensor.grad().defined());
  LANTHORN_RETURN_IF_ERROR(Settle(parameters, received));
  std::vector<at::Tensor> all(parameters.size());
  for (size_t p = 0; p < parameters.size(); ++p) {
    if (!received[p]) continue;
    LANTHORN_ASSIGN_OR_RETURN(const std::vector<Entry>* const entries, EntriesOf(parameters[p]));
    all[p] = at::zeros_like(parameters[p].tensor);
    if (entries->size() == 1) {
      entries->front().use->AddElementSquares(all[p]);
      continue;
    }
    const at::Tensor tile = at::empty_like(all[p]);
    for (int64_t i = 0; i < samples_; ++i) {
      tile.zero_();
      for (const Entry& entry : *entries) entry.use->AddSampleGradient(i, tile);
      all[p].addcmul_(tile, tile);
    }
  }
  return all;
}

absl::StatusOr<Recorder::Squares> Recorder::Collect(const std::vector<NamedParameter>& parameters,
                                                    const std::vector<bool>& received, bool verify) {
  // The reports hold a step's tensors: they go with this call, however it ends.
  const absl::Cleanup forget = [this] { Forget(); };
  const at::NoGradGuard no_grad;
  LANTHORN_RETURN_IF_ERROR(Settle(parameters, received));
  Squares squares = {std::vector<double>(static_cast<size_t>(samples_), 0.0),
                     std::vector<double>(parameters.size(), 0.0)};
  double q = 0, s = 0;
  std::vector<at::Tensor> gradients;
  for (size_t p = 0; p < parameters.size(); ++p) {
    if (!received[p]) continue;
    LANTHORN_ASSIGN_OR_RETURN(const std::vector<double> own, SquaresOf(parameters[p]));
    for (size_t i = 0; i < own.size(); ++i) {
      squares.samples[i] += own[i];
      squares.parameters[p] += own[i];
    }
    q += squares.parameters[p];
    gradients.push_back(parameters[p].tensor.grad());
  }
  if (verify) s = SquareSum(gradients);
  for (size_t p = 0; verify && p < parameters.size(); ++p) {
    if (received[p]) LANTHORN_RETURN_IF_ERROR(Verify(parameters[p], std::sqrt(std::max(s, q))));
  }
  return squares;
}

absl::StatusOr<Score> Recorder::Finish(const std::vector<NamedParameter>& parameters, bool verify) {
  Tally tally;
  LANTHORN_RETURN_IF_ERROR(tally.Add(this, parameters, verify));
  return tally.Finish(parameters);
}

}  // namespace lanthorn::tscore
