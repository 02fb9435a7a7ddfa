// A tree of layers with PyTorch's names: parameters and buffers by path, such as "rnn.weight_hh_l0".
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/status.h"
#include "engine/kernels/gemm/precision.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::nn {

using tscore::NamedParameter;

// Recurrent state carried from one forward to the next, all stateful layers' tensors in order; empty means zeros.
using State = std::vector<at::Tensor>;

// The next number of the order in which modules and parameters are made.
int64_t NextCreatedOrder();

class Module {
 public:
  explicit Module(std::string kind);
  virtual ~Module() = default;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  // The layer's output. With `state` the layer starts from it (zeros when empty) and leaves its end there; without, it
  // starts from zeros. Wrong shapes are c10::Error that name the layer. A container without a forward of its own fails.
  // A script's forward is called in place of the layer's own.
  at::Tensor Forward(const at::Tensor& input, State* state) {
    return scripted_ ? scripted_(input, state) : Compute(input, state);
  }
  // The output of a layer of several inputs; those left out are undefined.
  virtual at::Tensor ForwardAll(const std::vector<at::Tensor>& inputs) { return Forward(inputs.at(0), nullptr); }
  virtual int64_t MostInputs() const { return 1; }
  // A forward written in a script, empty for none. What the layer says of its own forward (RowTable, LinearHead) does
  // not hold beside one.
  using ScriptedForward = std::function<at::Tensor(const at::Tensor& input, State* state)>;
  void SetScriptedForward(ScriptedForward forward) { scripted_ = std::move(forward); }
  bool scripted() const { return scripted_ != nullptr; }
  // Whether this module or one below has a scripted forward, or carries a state.
  bool HoldsScripted() const;
  bool HoldsState() const;
  // The table of which Forward(ids) gathers rows and does nothing else, or an undefined tensor.
  virtual at::Tensor RowTable() const { return {}; }
  // Forward of the gathered rows of `table`, for a layer that gains by not gathering them; otherwise no value, and the
  // caller gathers.
  virtual std::optional<at::Tensor> ForwardRows(const at::Tensor& ids, const at::Tensor& table, State* state) {
    return std::nullopt;
  }
  // The most time steps that Forward takes, 0 for any number: by default the least that a child takes.
  virtual int64_t MaxLength() const;
  // Whether in a scope of Decoding (decoding.h) a forward of the next positions alone gives what a forward of all
  // positions gives there: true where this layer and all below say so of themselves.
  bool Decodes() const;
  // Number of state tensors that Forward carries.
  virtual int64_t StateSize() const { return 0; }
  // A linear map y = h W^T + b; the bias may be undefined.
  struct Head {
    at::Tensor weight, bias;
  };
  // The last step of Forward, when it is a linear map and nothing else: a loss may fuse it. Then Features gives what
  // enters it, as Forward does with input and state.
  virtual std::optional<Head> LinearHead() const { return std::nullopt; }
  virtual at::Tensor Features(const at::Tensor& input, State* state);
  // How this layer itself multiplies in such a precision, where that is current; its children answer for themselves.
  // Transformer blocks have bf16 products of their own (kernels/linear/pairs.h).
  enum class Lowers { kNot, kByLibrary, kByPairs };
  virtual Lowers LowersTo(kernels::Precision::Kind precision) const { return Lowers::kNot; }
  // Whether this layer itself heeds train.recompute (kernels/encoder/recompute.h).
  virtual bool Recomputes() const { return false; }
  // Whether Forward computes something (false for a container whose forward is written in Lua).
  virtual bool HasForward() const { return true; }
  // "GRU(128, 256, num_layers=2)"
  virtual std::string Describe() const { return kind_; }

  const std::string& kind() const { return kind_; }
  // Its number in the order in which modules were made, which is that of their initial values.
  int64_t created_order() const { return created_order_; }
  bool training() const { return training_; }
  // Training mode for this module and all below: dropout is active.
  void Train(bool on);
  // The mode of this module alone.
  void SetMode(bool training) { training_ = training; }
  // This module and all below, in the order of the tree.
  std::vector<Module*> Modules();

  // The vocabulary that the weights were trained with, as its sha256; empty when that is unknown. It goes into files of
  // weights and comes back from them, because ids of another vocabulary mean other things.
  const std::string& vocabulary() const { return vocabulary_; }
  void set_vocabulary(std::string sha256) { vocabulary_ = std::move(sha256); }
  // What the weights give for inputs that whoever sets this knows; empty when nobody did. It goes with the weights as
  // the vocabulary does, so that a model of the same shapes that computes something else is found out.
  const std::string& forward_check() const { return forward_check_; }
  void set_forward_check(std::string text) { forward_check_ = std::move(text); }
  std::map<std::string, std::string> Metadata() const;
  void TakeMetadata(const std::map<std::string, std::string>& metadata);

  // Moves parameters and buffers in place, so that optimisers keep seeing them.
  void To(c10::Device device, c10::ScalarType dtype);

  // Adds a child; the order of adding is the order everywhere. The name must be new, and the child must not hold this
  // module.
  void AddChild(const std::string& name, std::shared_ptr<Module> child);
  const std::vector<std::pair<std::string, std::shared_ptr<Module>>>& children() const { return children_; }
  std::shared_ptr<Module> Child(const std::string& name) const;  // nullptr if there is none

  // Adds a tensor of this module's own, under a name as of AddChild. A parameter is a leaf, trained if it requires a
  // gradient; a buffer is part of the state dict and is not trained.
  void AddParameter(const std::string& name, const at::Tensor& value);
  void AddBuffer(const std::string& name, const at::Tensor& value);
  // This module's own parameter or buffer, or an undefined tensor.
  at::Tensor Own(const std::string& name) const;
  bool IsBuffer(const std::string& name) const;
  // This module's own buffers by name, without those below.
  std::vector<NamedParameter> OwnBuffers() const;
  // Replaces an own parameter or buffer by another tensor of the same shape: that is how weights are tied.
  absl::Status Tie(const std::string& name, const at::Tensor& parameter);

  // All parameters by path, each tensor once (a tied weight appears under its first name).
  std::vector<NamedParameter> Parameters() const;
  // All buffers by path.
  std::vector<NamedParameter> Buffers() const;
  // All parameters and buffers by path, tied ones under every name.
  std::vector<NamedParameter> StateDict() const;
  // Copies values by name. Missing, extra or misshapen names are an error that lists all of them, and nothing changes;
  // so are different values for the names of one tied weight.
  absl::Status LoadStateDict(const std::vector<NamedParameter>& tensors);

  int64_t ParameterCount() const;
  // Sets every gradient to undefined.
  void ZeroGrad();

 protected:
  // Whether this layer by itself treats positions apart, or keeps what it needs of those before.
  virtual bool DecodesItself() const { return false; }
  // What Forward does without a script.
  virtual at::Tensor Compute(const at::Tensor& input, State* state);
  at::Tensor& RegisterParameter(const std::string& name, at::Tensor value);
  at::Tensor& RegisterBuffer(const std::string& name, at::Tensor value);

 private:
  bool Holds(const Module* other) const;
  void CheckNewName(const std::string& name) const;
  void BuffersBelow(const std::string& prefix, std::vector<NamedParameter>* found) const;
  void Collect(const std::string& prefix, bool once, bool buffers, std::vector<NamedParameter>* found) const;

  struct Slot {
    std::string name;
    std::unique_ptr<at::Tensor> tensor;  // stable address: layers keep references
    bool buffer;
  };
  std::string kind_;
  int64_t created_order_;
  bool training_ = true;
  std::string vocabulary_, forward_check_;
  ScriptedForward scripted_;
  std::vector<Slot> slots_;
  std::vector<std::pair<std::string, std::shared_ptr<Module>>> children_;
};

// A module that only holds others; its forward is written elsewhere.
class Container : public Module {
 public:
  using Module::Module;
  bool HasForward() const override { return false; }
};

}  // namespace lanthorn::nn
