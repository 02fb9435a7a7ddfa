#include "engine/nn/module.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <atomic>
#include <set>

#include "absl/strings/str_join.h"
#include "engine/base/text/nearest.h"

namespace lanthorn::nn {
namespace {

std::string ShapeText(const at::Tensor& tensor) { return "(" + absl::StrJoin(tensor.sizes(), ", ") + ")"; }

// NaN equals NaN here.
bool SameValues(const at::Tensor& a, const at::Tensor& b) {
  if (a.is_same(b)) return true;
  const at::Tensor wide_a = a.to(c10::kDouble), wide_b = b.to(c10::kDouble);
  return wide_a.eq(wide_b).logical_or(wide_a.isnan().logical_and(wide_b.isnan())).all().item<bool>();
}

std::string Listed(const std::vector<std::string>& names) {
  constexpr size_t kShown = 8;
  const std::vector<std::string> shown(names.begin(),
                                       names.begin() + static_cast<int64_t>(std::min(kShown, names.size())));
  return absl::StrJoin(shown, ", ") +
         (names.size() > kShown ? " and " + std::to_string(names.size() - kShown) + " more" : "");
}

}  // namespace

int64_t NextCreatedOrder() {
  static std::atomic<int64_t> created{0};
  return ++created;
}

Module::Module(std::string kind) : kind_(std::move(kind)), created_order_(NextCreatedOrder()) {}

at::Tensor Module::Compute(const at::Tensor& input, State* state) {
  TORCH_CHECK(false, "[", kind_, "] has no forward");
}

bool Module::HoldsScripted() const {
  return scripted() || std::any_of(children_.begin(), children_.end(),
                                   [](const auto& entry) { return entry.second->HoldsScripted(); });
}

bool Module::HoldsState() const {
  return StateSize() > 0 ||
         std::any_of(children_.begin(), children_.end(), [](const auto& entry) { return entry.second->HoldsState(); });
}

at::Tensor Module::Features(const at::Tensor&, State*) {
  TORCH_CHECK(false, "[", kind_, "] does not end with a linear layer that could be split off");
}

bool Module::Decodes() const {
  return !scripted() && DecodesItself() &&
         std::all_of(children_.begin(), children_.end(), [](const auto& child) { return child.second->Decodes(); });
}

int64_t Module::MaxLength() const {
  int64_t least = 0;
  for (const auto& [name, child] : children_) {
    const int64_t own = child->MaxLength();
    if (own > 0 && (least == 0 || own < least)) least = own;
  }
  return least;
}

void Module::Train(bool on) {
  training_ = on;
  for (auto& [name, child] : children_) child->Train(on);
}

std::vector<Module*> Module::Modules() {
  std::vector<Module*> modules = {this};
  for (auto& [name, child] : children_) {
    const std::vector<Module*> below = child->Modules();
    modules.insert(modules.end(), below.begin(), below.end());
  }
  return modules;
}

void Module::To(c10::Device device, c10::ScalarType dtype) {
  at::NoGradGuard no_grad;
  for (Slot& slot : slots_) {
    at::Tensor& tensor = *slot.tensor;
    tensor.set_data(tensor.to(device, tensor.is_floating_point() ? dtype : tensor.scalar_type()));
    if (tensor.grad().defined()) tensor.mutable_grad() = tensor.grad().to(device, dtype);
  }
  for (auto& [name, child] : children_) child->To(device, dtype);
}

bool Module::Holds(const Module* other) const {
  return this == other || std::any_of(children_.begin(), children_.end(),
                                      [other](const auto& entry) { return entry.second->Holds(other); });
}

void Module::CheckNewName(const std::string& name) const {
  TORCH_CHECK(Child(name) == nullptr && !Own(name).defined(), "[", kind_, "] already has a member '", name, "'");
  TORCH_CHECK(!name.empty() && name.find('.') == std::string::npos, "[", kind_, "] a member's name has no dots, got '",
              name, "'");
}

void Module::AddParameter(const std::string& name, const at::Tensor& value) {
  CheckNewName(name);
  TORCH_CHECK(value.is_leaf(), "[", kind_, "] the parameter '", name,
              "' is computed from other tensors; a parameter is a leaf");
  slots_.push_back({name, std::make_unique<at::Tensor>(value), /*buffer=*/false});
}

void Module::AddBuffer(const std::string& name, const at::Tensor& value) {
  CheckNewName(name);
  slots_.push_back({name, std::make_unique<at::Tensor>(value), /*buffer=*/true});
}

void Module::AddChild(const std::string& name, std::shared_ptr<Module> child) {
  LANTHORN_CHECK(child != nullptr);
  TORCH_CHECK(!child->Holds(this), "[", kind_, "] cannot contain itself, as '", name, "'");
  CheckNewName(name);
  children_.emplace_back(name, std::move(child));
}

std::shared_ptr<Module> Module::Child(const std::string& name) const {
  for (const auto& [key, child] : children_) {
    if (key == name) return child;
  }
  return nullptr;
}

at::Tensor Module::Own(const std::string& name) const {
  for (const Slot& slot : slots_) {
    if (slot.name == name) return *slot.tensor;
  }
  return {};
}

bool Module::IsBuffer(const std::string& name) const {
  return std::any_of(slots_.begin(), slots_.end(), [&](const Slot& slot) { return slot.buffer && slot.name == name; });
}

std::vector<NamedParameter> Module::OwnBuffers() const {
  std::vector<NamedParameter> found;
  for (const Slot& slot : slots_) {
    if (slot.buffer) found.push_back({slot.name, *slot.tensor});
  }
  return found;
}

absl::Status Module::Tie(const std::string& name, const at::Tensor& parameter) {
  for (Slot& slot : slots_) {
    if (slot.name != name) continue;
    if (slot.tensor->sizes() != parameter.sizes()) {
      return ConfigError(kind_ + "." + name + " is " + ShapeText(*slot.tensor) + " and cannot be tied to " +
                         ShapeText(parameter));
    }
    *slot.tensor = parameter;
    return absl::OkStatus();
  }
  return ConfigError(kind_ + " has no parameter '" + name + "'");
}

void Module::Collect(const std::string& prefix, bool once, bool buffers, std::vector<NamedParameter>* found) const {
  for (const Slot& slot : slots_) {
    if (slot.buffer && !buffers) continue;
    const bool seen = once && std::any_of(found->begin(), found->end(), [&](const NamedParameter& other) {
                        return other.tensor.is_same(*slot.tensor);
                      });
    if (!seen) found->push_back({prefix + slot.name, *slot.tensor});
  }
  for (const auto& [name, child] : children_) child->Collect(prefix + name + ".", once, buffers, found);
}

void Module::BuffersBelow(const std::string& prefix, std::vector<NamedParameter>* found) const {
  for (const Slot& slot : slots_) {
    if (slot.buffer) found->push_back({prefix + slot.name, *slot.tensor});
  }
  for (const auto& [name, child] : children_) child->BuffersBelow(prefix + name + ".", found);
}

std::vector<NamedParameter> Module::Parameters() const {
  std::vector<NamedParameter> found;
  Collect("", /*once=*/true, /*buffers=*/false, &found);
  return found;
}

std::vector<NamedParameter> Module::Buffers() const {
  std::vector<NamedParameter> found;
  BuffersBelow("", &found);
  return found;
}

std::vector<NamedParameter> Module::StateDict() const {
  std::vector<NamedParameter> found;
  Collect("", /*once=*/false, /*buffers=*/true, &found);
  return found;
}

namespace {
constexpr char kVocabulary[] = "vocabulary_sha256";
constexpr char kForwardCheck[] = "forward_check";
}  // namespace

std::map<std::string, std::string> Module::Metadata() const {
  std::map<std::string, std::string> metadata;
  if (!vocabulary_.empty()) metadata[kVocabulary] = vocabulary_;
  if (!forward_check_.empty()) metadata[kForwardCheck] = forward_check_;
  return metadata;
}

void Module::TakeMetadata(const std::map<std::string, std::string>& metadata) {
  const auto value_of = [&](const char* name) {
    const auto found = metadata.find(name);
    return found == metadata.end() ? std::string() : found->second;
  };
  vocabulary_ = value_of(kVocabulary);
  forward_check_ = value_of(kForwardCheck);
}

absl::Status Module::LoadStateDict(const std::vector<NamedParameter>& tensors) {
  std::vector<std::string> missing, extra, misshapen, conflicts;
  std::vector<std::pair<NamedParameter, at::Tensor>> copies;
  std::set<std::string> known;
  for (const NamedParameter& own : StateDict()) {
    known.insert(own.name);
    const auto given =
        std::find_if(tensors.begin(), tensors.end(), [&](const NamedParameter& t) { return t.name == own.name; });
    if (given == tensors.end()) {
      missing.push_back(own.name);
    } else if (given->tensor.sizes() != own.tensor.sizes()) {
      misshapen.push_back(own.name + " " + ShapeText(given->tensor) + " instead of " + ShapeText(own.tensor));
    } else {
      // A tied weight has several names, and must have one value under all of them.
      const auto same = std::find_if(copies.begin(), copies.end(),
                                     [&](const auto& copy) { return copy.first.tensor.is_same(own.tensor); });
      if (same == copies.end()) {
        copies.emplace_back(own, given->tensor);
      } else if (!SameValues(same->second, given->tensor)) {
        conflicts.push_back(same->first.name + " and " + own.name);
      }
    }
  }
  for (const NamedParameter& given : tensors) {
    if (known.count(given.name) == 0) extra.push_back(given.name);
  }
  if (!missing.empty() || !extra.empty() || !misshapen.empty()) {
    std::string message = "weights do not fit the model:";
    if (!missing.empty()) message += " missing " + Listed(missing) + ";";
    if (!extra.empty()) message += " not in the model " + Listed(extra) + ";";
    if (!misshapen.empty()) message += " wrong shape " + Listed(misshapen) + ";";
    message.pop_back();
    return WeightsError(message);
  }
  if (!conflicts.empty())
    return WeightsError("weights do not fit the model: it has one tensor for " + Listed(conflicts) +
                        ", which have different values here");
  at::NoGradGuard no_grad;
  for (auto& [to, from] : copies) to.tensor.copy_(from);
  return absl::OkStatus();
}

int64_t Module::ParameterCount() const {
  int64_t count = 0;
  for (const NamedParameter& parameter : Parameters()) count += parameter.tensor.numel();
  return count;
}

void Module::ZeroGrad() {
  for (const NamedParameter& parameter : Parameters()) parameter.tensor.mutable_grad() = at::Tensor();
}

at::Tensor& Module::RegisterParameter(const std::string& name, at::Tensor value) {
  slots_.push_back({name, std::make_unique<at::Tensor>(value.set_requires_grad(true)), /*buffer=*/false});
  return *slots_.back().tensor;
}

at::Tensor& Module::RegisterBuffer(const std::string& name, at::Tensor value) {
  slots_.push_back({name, std::make_unique<at::Tensor>(std::move(value)), /*buffer=*/true});
  return *slots_.back().tensor;
}

}  // namespace lanthorn::nn
