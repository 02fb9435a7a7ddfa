// Parameters that an operator uses outside of a layer, such as x * m.scale: reports to an open recorder for the
// operators by which a parameter meets the samples, and a refusal by name for all others.
//
// A tensor computed from parameters alone by one of a list of operators (m.w:t(), m.log_scale:exp()) counts as a
// parameter itself; the recorder takes its samples' gradients back to the parameters behind it.
#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/tscore/recorder.h"

namespace lanthorn::tscore {

class OperatorUse {
 public:
  // Before a call of the operator (`name` without its library) with these arguments, in the order of its schema; no
  // value when no parameter is among them or nothing is recorded. A parameter may be replaced by a view of it that is
  // as large as the result, which changes no value.
  static std::optional<OperatorUse> Begin(const std::string& name, const c10::OperatorHandle& handle,
                                          std::vector<c10::IValue>* arguments);
  // After it.
  void End(const std::vector<c10::IValue>& results) const;

 private:
  enum class Way { kReported, kDerived, kLayer };

  OperatorUse(Recorder::Ptr recorder, std::string name, const c10::OperatorHandle& handle,
              std::vector<c10::IValue> arguments);
  bool IsParameter(const at::Tensor& tensor) const;  // a parameter, or derived from some, among the arguments
  // Of an operator that works element by element; empty where the arguments do not fit one another.
  std::vector<int64_t> ResultSizes() const;
  // A tensor with a gradient, not a parameter, that is spread along dimension 0 of the result: the layers behind it
  // saw something else than samples there, even where it is as many. Said when the backward comes by.
  void RefuseSpread(const std::string& plain) const;
  // Whether the operator works element by element and dimension 0 of the result is the sample: then each parameter
  // becomes a view of that size, whose gradient holds those of the samples.
  bool Expand(std::vector<c10::IValue>* arguments) const;
  bool ReportLayer(const at::Tensor& y) const;
  void Derive(const std::vector<c10::IValue>& results) const;
  void Refuse(const std::vector<c10::IValue>& results, const std::string& why) const;

  Recorder::Ptr recorder_;
  std::string name_;
  c10::OperatorHandle handle_;
  std::vector<c10::IValue> arguments_;
  std::vector<at::Tensor> parameters_;  // among the arguments
  bool others_ = false, other_gradients_ = false;
  Way way_ = Way::kLayer;
};

}  // namespace lanthorn::tscore
