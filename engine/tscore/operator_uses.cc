#include "engine/tscore/operator_uses.h"

#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "engine/tscore/conv_samplers.h"
#include "engine/tscore/samplers.h"

namespace lanthorn::tscore {
namespace {

// Element by element with broadcasting; the same in place, with an underscore.
const std::set<std::string> kElementwise = {
    "add",  "sub",         "rsub",    "mul",     "div",  "pow",       "maximum",  "minimum", "atan2",    "where",
    "lerp", "masked_fill", "addcmul", "addcdiv", "fmod", "remainder", "multiply", "divide",  "subtract", "true_divide"};

// From parameters alone: the same values each time, and a gradient.
const std::set<std::string> kDerivations = {
    "view",      "reshape", "t",          "transpose",    "permute",     "unsqueeze",  "squeeze",
    "expand",    "narrow",  "select",     "slice",        "flatten",     "unflatten",  "contiguous",
    "clone",     "to",      "_to_copy",   "index_select", "index",       "exp",        "log",
    "log1p",     "expm1",   "sigmoid",    "tanh",         "sin",         "cos",        "sqrt",
    "rsqrt",     "square",  "abs",        "neg",          "negative",    "reciprocal", "relu",
    "softplus",  "gelu",    "silu",       "softmax",      "log_softmax", "clamp",      "clamp_min",
    "clamp_max", "tril",    "triu",       "sum",          "mean",        "norm",       "linalg_vector_norm",
    "cumsum",    "flip",    "roll",       "repeat",       "cat",         "stack",      "matmul",
    "mm",        "diag",    "diag_embed", "outer",        "logsumexp",   "sign",       "numpy_T",
    "mT",        "movedim", "swapaxes",   "unbind",       "chunk",       "split",      "detach"};

// The same, with another tensor that tells the shape or the type alone.
const std::set<std::string> kShapedBy = {"expand_as", "view_as", "reshape_as", "type_as"};

const char kWays[] =
    "add, sub, mul, div, pow and their kin, matmul, mm, linear, embedding, conv1d and conv2d do, where dimension 0 of "
    "the result is the sample";

std::string WithoutUnderscore(const std::string& name) {
  return name.size() > 1 && name.back() == '_' ? name.substr(0, name.size() - 1) : name;
}

// Calls f(tensor) for each tensor of an argument, lists included; a defined result takes its place.
template <typename F>
void EachTensor(c10::IValue* value, const F& f) {
  if (value->isTensor()) {
    if (!value->toTensor().defined()) return;
    if (const at::Tensor other = f(value->toTensor()); other.defined()) *value = other;
  } else if (value->isTensorList()) {
    std::vector<at::Tensor> tensors = value->toTensorVector();
    bool changed = false;
    for (at::Tensor& tensor : tensors) {
      if (const at::Tensor other = f(tensor); other.defined()) tensor = other, changed = true;
    }
    if (changed) *value = tensors;
  } else if (value->isOptionalTensorList()) {
    for (const auto& entry : value->toOptionalTensorVector()) {
      if (entry.has_value() && entry->defined()) (void)f(*entry);
    }
  }
}

at::Tensor TensorAt(const std::vector<c10::IValue>& values, size_t at) {
  return at < values.size() && values[at].isTensor() ? values[at].toTensor() : at::Tensor();
}

// The delta (N, ...) of a view expanded from `sizes`, summed back to (N, sizes...).
at::Tensor ReduceTo(const at::Tensor& delta, at::IntArrayRef sizes) {
  const auto rank = static_cast<int64_t>(sizes.size());
  at::Tensor rows = delta;
  for (int64_t d = delta.dim() - 1; d >= 1; --d) {
    const int64_t own = d - (delta.dim() - rank);
    const bool broadcast = own < 0 || (sizes[static_cast<size_t>(own)] == 1 && delta.size(d) != 1);
    if (broadcast) rows = rows.sum(d, /*keepdim=*/true);
  }
  std::vector<int64_t> shape = {delta.size(0)};
  shape.insert(shape.end(), sizes.begin(), sizes.end());
  return rows.reshape(shape);
}

}  // namespace

OperatorUse::OperatorUse(Recorder::Ptr recorder, std::string name, const c10::OperatorHandle& handle,
                         std::vector<c10::IValue> arguments)
    : recorder_(std::move(recorder)), name_(std::move(name)), handle_(handle), arguments_(std::move(arguments)) {
  for (c10::IValue& argument : arguments_) {
    EachTensor(&argument, [&](const at::Tensor& tensor) {
      const bool parameter = tensor.requires_grad() && (tensor.is_leaf() || recorder_->FindDerived(tensor) != nullptr);
      if (parameter) {
        parameters_.push_back(tensor);
      } else {
        others_ = true;
        other_gradients_ = other_gradients_ || tensor.requires_grad();
      }
      return at::Tensor();
    });
  }
}

std::optional<OperatorUse> OperatorUse::Begin(const std::string& name, const c10::OperatorHandle& handle,
                                              std::vector<c10::IValue>* arguments) {
  const Recorder::Ptr recorder = Recorder::Current();
  if (recorder == nullptr || !at::GradMode::is_enabled()) return std::nullopt;
  OperatorUse use(recorder, name, handle, *arguments);
  const std::string plain = WithoutUnderscore(name);
  use.RefuseSpread(plain);
  if (use.parameters_.empty()) return std::nullopt;
  // The tensor that tells a shape or a type may be the only parameter: then nothing is computed from one.
  if (kShapedBy.count(plain) > 0 && !use.IsParameter(TensorAt(*arguments, 0))) return std::nullopt;
  if (kElementwise.count(plain) > 0 && use.others_ && use.Expand(arguments)) {
    use.way_ = Way::kReported;
  } else if (!use.others_ && name == plain && (kDerivations.count(plain) > 0 || kElementwise.count(plain) > 0)) {
    use.way_ = Way::kDerived;
  } else if (kShapedBy.count(plain) > 0) {
    use.way_ = Way::kDerived;
  } else if (!use.other_gradients_ && name == plain && kElementwise.count(plain) > 0) {
    use.way_ = Way::kDerived;  // with constants, such as a mask of the weight
  } else {
    use.way_ = Way::kLayer;
  }
  return use;
}

bool OperatorUse::IsParameter(const at::Tensor& tensor) const {
  return tensor.defined() &&
         std::any_of(parameters_.begin(), parameters_.end(), [&](const at::Tensor& p) { return p.is_same(tensor); });
}

std::vector<int64_t> OperatorUse::ResultSizes() const {
  std::vector<int64_t> sizes;
  bool fits = true;  // else the operator says itself what does not
  for (c10::IValue argument : arguments_) {
    EachTensor(&argument, [&](const at::Tensor& tensor) {
      fits = fits && at::are_expandable(sizes, tensor.sizes());
      if (fits) sizes = at::infer_size(sizes, tensor.sizes());
      return at::Tensor();
    });
  }
  return fits ? sizes : std::vector<int64_t>();
}

void OperatorUse::RefuseSpread(const std::string& plain) const {
  const bool grows = plain == "expand" || plain == "expand_as" || plain == "broadcast_to" || plain == "repeat";
  if (!grows && kElementwise.count(plain) == 0) return;
  std::vector<int64_t> sizes;
  if (!grows || plain == "expand_as") {
    sizes = ResultSizes();
  } else if (arguments_.size() > 1 && arguments_[1].isIntList()) {
    sizes = arguments_[1].toIntVector();
  }
  if (sizes.empty()) return;
  const auto refuse = [&](const at::Tensor& tensor) {
    if (!tensor.requires_grad() || IsParameter(tensor) || tensor.dim() == 0) return at::Tensor();
    const bool fewer = tensor.dim() < static_cast<int64_t>(sizes.size());
    const bool once = tensor.size(0) == 1 && sizes[0] > 1;
    if (fewer || once) {
      tensor.register_hook([recorder = recorder_, name = name_](const at::Tensor&) {
        recorder->Refuse("torch." + name +
                         " spreads a tensor that layers made over dimension 0, so that dimension 0 of those "
                         "layers is not the sample; give them the whole batch, as nn.PositionalEmbedding does, or use "
                         "tscore.mode='loop'");
      });
    }
    return at::Tensor();
  };
  for (c10::IValue argument : arguments_) EachTensor(&argument, refuse);
}

bool OperatorUse::Expand(std::vector<c10::IValue>* arguments) const {
  const std::vector<int64_t> sizes = ResultSizes();
  if (sizes.empty()) return false;
  bool rows = false;  // whether a tensor other than a parameter has the result's dimension 0
  for (c10::IValue argument : *arguments) {
    EachTensor(&argument, [&](const at::Tensor& tensor) {
      rows = rows ||
             (!IsParameter(tensor) && tensor.dim() == static_cast<int64_t>(sizes.size()) && tensor.size(0) == sizes[0]);
      return at::Tensor();
    });
  }
  if (!rows) return false;
  if (recorder_->samples() != Recorder::kFromFirstReport && sizes[0] != recorder_->samples()) return false;
  for (const at::Tensor& parameter : parameters_) {
    const bool same_rank = parameter.dim() == static_cast<int64_t>(sizes.size());
    if (same_rank && parameter.size(0) != 1) return false;  // it has the dimension itself
  }
  for (c10::IValue& argument : *arguments) {
    EachTensor(&argument, [&](const at::Tensor& tensor) {
      if (!IsParameter(tensor)) return at::Tensor();
      const at::Tensor view = tensor.expand(sizes);
      view.register_hook([recorder = recorder_, tensor](const at::Tensor& delta) {
        recorder->Report(tensor, "an operator", BiasUse(ReduceTo(delta.detach(), tensor.sizes()), tensor.dim()));
      });
      return view;
    });
  }
  return true;
}

bool OperatorUse::ReportLayer(const at::Tensor& y) const {
  const at::Tensor first = TensorAt(arguments_, 0), second = TensorAt(arguments_, 1), third = TensorAt(arguments_, 2);
  if (y.dim() < 1 || !first.defined()) return false;
  if (recorder_->samples() != Recorder::kFromFirstReport && y.size(0) != recorder_->samples()) return false;
  if (name_ == "linear" && !IsParameter(first) && first.dim() >= 2) {
    SampleLinear(y, first, second, third, "linear");
    return true;
  }
  if (name_ == "prelu" && IsParameter(second) && !IsParameter(first)) {
    SampleChannels(y, at::clamp_max(first.detach(), 0), second, {}, "prelu");
    return true;
  }
  if (name_ == "index" && IsParameter(first) && parameters_.size() == 1 && arguments_[1].isOptionalTensorList()) {
    const auto ids = arguments_[1].toOptionalTensorVector();
    if (ids.size() != 1 || !ids[0].has_value() || ids[0]->scalar_type() != c10::kLong || first.dim() != 2) return false;
    SampleEmbedding(y, at::remainder(*ids[0], first.size(0)), first, -1, "index");  // -1 is the last row
    return true;
  }
  if (name_ == "index_select" && IsParameter(first) && first.dim() == 2 && arguments_[1].toInt() == 0) {
    SampleEmbedding(y, third, first, -1, "index_select");
    return true;
  }
  const bool by_frequency = name_ == "embedding" && arguments_.size() > 3 && arguments_[3].toBool();
  if (name_ == "embedding" && IsParameter(first) && !by_frequency) {
    SampleEmbedding(y, second, first, arguments_[2].toInt(), "embedding");
    return true;
  }
  if ((name_ == "conv1d" || name_ == "conv2d") && !IsParameter(first) && arguments_.size() == 7 &&
      arguments_[4].isIntList()) {
    ConvGeometry geometry = {arguments_[3].toIntVector(), arguments_[4].toIntVector(), arguments_[5].toIntVector(),
                             arguments_[6].toInt()};
    const auto dims = static_cast<size_t>(second.dim() - 2);
    for (auto* numbers : {&geometry.stride, &geometry.padding, &geometry.dilation})
      numbers->resize(dims, numbers->at(0));
    SampleConv(y, first, second, third, geometry, dims == 1 ? "conv1d" : "conv2d");
    return true;
  }
  if (name_ != "matmul" && name_ != "mm") return false;
  if (IsParameter(second) && !IsParameter(first) && first.dim() >= 2 && second.dim() <= 2) {
    y.register_hook([recorder = recorder_, x = first.detach(), w = second](const at::Tensor& delta) {
      const at::Tensor e = delta.detach();
      // (in) has the samples' sums of e x; (in, out) is a linear map whose weight stands the other way round.
      recorder->Report(w, "matmul", w.dim() == 1 ? BiasUse(e.unsqueeze(-1) * x, 1) : LinearUse(e, x));
    });
    return true;
  }
  if (IsParameter(first) && !IsParameter(second) && first.dim() == 2 && second.dim() >= 3) {
    y.register_hook([recorder = recorder_, w = first, x = second.detach()](const at::Tensor& delta) {
      recorder->Report(w, "matmul", LinearUse(x.transpose(-1, -2), delta.detach().transpose(-1, -2)));
    });
    return true;
  }
  return false;
}

void OperatorUse::Derive(const std::vector<c10::IValue>& results) const {
  // The same call on leaves of its own: the graph of the loss is gone when the samples' gradients are asked for.
  Recorder::Derived known;
  const auto twin_of = [&](const at::Tensor& tensor) -> at::Tensor {
    if (!IsParameter(tensor)) return {};
    if (const Recorder::Derived* derived = recorder_->FindDerived(tensor)) {
      for (size_t i = 0; i < derived->parameters.size(); ++i) {
        const at::Tensor& leaf = derived->leaves[i];
        const bool there = std::any_of(known.leaves.begin(), known.leaves.end(),
                                       [&](const at::Tensor& other) { return other.is_same(leaf); });
        if (there) continue;
        known.parameters.push_back(derived->parameters[i]);
        known.leaves.push_back(leaf);
      }
      return derived->twin;
    }
    known.parameters.push_back(tensor);
    known.leaves.push_back(tensor.detach().requires_grad_(true));
    return known.leaves.back();
  };
  std::vector<c10::IValue> stack = arguments_;
  for (c10::IValue& value : stack) EachTensor(&value, twin_of);
  handle_.callBoxed(&stack);
  const auto flat = [](const std::vector<c10::IValue>& values) {
    std::vector<at::Tensor> tensors;
    for (c10::IValue value : values) {
      EachTensor(&value, [&](const at::Tensor& tensor) {
        tensors.push_back(tensor);
        return at::Tensor();
      });
    }
    return tensors;
  };
  const std::vector<at::Tensor> made = flat(results), twins = flat(stack);
  for (size_t i = 0; i < made.size() && i < twins.size(); ++i) {
    if (!made[i].requires_grad() || made[i].is_leaf()) continue;  // a leaf: the parameter itself, which changed nothing
    Recorder::Derived derived = known;
    derived.tensor = made[i];
    derived.twin = twins[i];
    recorder_->AddDerived(std::move(derived));
  }
}

void OperatorUse::Refuse(const std::vector<c10::IValue>& results, const std::string& why) const {
  std::vector<at::Tensor> behind;
  for (const at::Tensor& tensor : parameters_) {
    const Recorder::Derived* derived = recorder_->FindDerived(tensor);
    if (derived == nullptr) {
      behind.push_back(tensor);
    } else {
      behind.insert(behind.end(), derived->parameters.begin(), derived->parameters.end());
    }
  }
  for (c10::IValue result : results) {
    EachTensor(&result, [&](const at::Tensor& y) {
      // Only where the backward comes by: a value that is looked at and not trained on does no harm.
      if (y.requires_grad()) {
        y.register_hook([recorder = recorder_, behind, why](const at::Tensor&) {
          for (const at::Tensor& parameter : behind) recorder->RefuseUse(parameter, why);
        });
      }
      return at::Tensor();
    });
  }
}

void OperatorUse::End(const std::vector<c10::IValue>& results) const {
  if (way_ == Way::kReported) return;
  if (way_ == Way::kDerived) return Derive(results);
  const at::Tensor y = TensorAt(results, 0);
  if (y.defined() && y.requires_grad() && ReportLayer(y)) return;
  Refuse(results, absl::StrCat("is used by torch.", name_, " which gives no gradients of single samples (", kWays,
                               "); use tscore.mode='loop'"));
}

}  // namespace lanthorn::tscore
