// The recorder of per-sample gradient norms: a scope, not a wrapper. While one is open on this thread, parametric
// layers report how each parameter was used; the ordinary backward then yields Q (kernels/README.md). With no
// recorder open the layers do nothing.
//
//   Recorder::Ptr recorder = Recorder::Open(samples);   // before the forward
//   loss.backward();
//   recorder->Finish(parameters)                        // after it, before clipping and weight decay
//
// Dimension 0 of every layer's input is the sample. All uses of one parameter by one sample (time steps, tied layers)
// are summed before they are squared.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/tscore/score.h"

namespace lanthorn::tscore {

// A use of rows of a table: sample i's gradient adds delta[i, k] to row ids[i, k].
struct RowUse {
  at::Tensor ids;    // (N, K) int64
  at::Tensor delta;  // (N, K, C)
};

// One use of a parameter by all samples, known once the backward has passed the layer.
class Use {
 public:
  virtual ~Use() = default;
  virtual int64_t samples() const = 0;
  // tile += the gradient of `sample`; tile has the parameter's shape and dtype.
  virtual void AddSampleGradient(int64_t sample, const at::Tensor& tile) const = 0;
  // || G_i ||^2 for all samples, float64 (N): of this use alone.
  virtual at::Tensor SampleSquares() const = 0;
  // sums += G_i * G_i over all samples, element by element; sums has the parameter's shape and dtype. Valid when this
  // is the parameter's only use. One sample after the other, unless there is a faster way.
  virtual void AddElementSquares(const at::Tensor& sums) const;
  // The use as rows of a table, where it is one.
  virtual std::optional<RowUse> Rows() const { return std::nullopt; }
  // <G_i, H_i> for all samples, float64 (N), H_i being those rows' gradients of the same parameter: what two uses of it
  // add to the sum of their squares. Undefined where there is no way without the gradients themselves.
  virtual at::Tensor ProductsWith(const RowUse& rows) const;
};

struct NamedParameter {
  std::string name;
  at::Tensor tensor;
};

class Recorder {
 public:
  using Ptr = std::shared_ptr<Recorder>;

  // Opens a recorder for a batch of `samples` rows (kFromFirstReport: as many as the first report has) and makes it
  // this thread's current one until Close or Finish.
  static constexpr int64_t kFromFirstReport = -1;
  static Ptr Open(int64_t samples = kFromFirstReport);
  // The open recorder of this thread, or nullptr.
  static Ptr Current();
  static bool IsOpen();
  // Hides the recorder while one lives: for forward passes that are not part of the measured loss.
  class Pause {
   public:
    Pause();
    ~Pause();

   private:
    Ptr hidden_;
  };

  // Makes a recorder this thread's current one again while one lives: for a forward that a backward repeats.
  class Resume {
   public:
    explicit Resume(Ptr recorder);
    ~Resume();

   private:
    Ptr before_;
  };

  // Called by layers, during the backward. `layer` names the reporting layer kind in messages.
  void Report(const at::Tensor& parameter, const char* layer, std::unique_ptr<Use> use);
  // Called by layers that cannot report; Finish then fails with the reason.
  void Refuse(const std::string& reason);
  // The same for uses of one parameter alone: "is used by ...", which stands behind its name. It counts only where the
  // parameter is measured.
  void RefuseUse(const at::Tensor& parameter, const std::string& reason);
  // A tensor computed from parameters alone, whose uses are uses of those. `twin` is the same computed from `leaves`,
  // which stand for `parameters` one by one, over a graph of its own.
  struct Derived {
    at::Tensor tensor, twin;
    std::vector<at::Tensor> parameters, leaves;
  };
  void AddDerived(Derived derived);
  // What AddDerived was told of this tensor, or nullptr.
  const Derived* FindDerived(const at::Tensor& tensor) const;
  // Rows of the batch; kFromFirstReport when no report has told yet.
  int64_t samples() const { return samples_; }

  // The forward is over: layers no longer see this recorder, the backward still reports to it.
  void Close();

  // S from the parameters' gradients, Q from the reports; frees the reports. A parameter with a gradient but no report
  // is an error that names it. With `verify`, the sample gradients of each parameter are added up and compared with
  // its gradient, which finds a use that no layer reported (slow; the trainer does it once). For a sum over several
  // backward passes see tally.h.
  absl::StatusOr<Score> Finish(const std::vector<NamedParameter>& parameters, bool verify = false);

  // The squares of one backward's samples.
  struct Squares {
    std::vector<double> samples;     // || g_i ||^2 over all parameters, N values
    std::vector<double> parameters;  // sum_i || g_i ||^2 of each parameter, 0 where there is no gradient
  };
  // What Finish takes from the reports. `received` tells for each parameter whether this backward reached it.
  absl::StatusOr<Squares> Collect(const std::vector<NamedParameter>& parameters, const std::vector<bool>& received,
                                  bool verify);
  // sum_i g_i * g_i of each parameter that has a gradient, element by element; undefined for the others. The memory is
  // that of the parameters and one sample's gradient of one of them. Errors as of Finish; frees the reports.
  absl::StatusOr<std::vector<at::Tensor>> ElementSquares(const std::vector<NamedParameter>& parameters);

 private:
  explicit Recorder(int64_t samples) : samples_(samples) {}

  // The backward is over: what is wrong with the uses, or those of derived tensors become uses of their parameters.
  absl::Status Settle(const std::vector<NamedParameter>& parameters, const std::vector<bool>& received);
  void ResolveDerived();
  void Forget();
  struct Entry {
    const char* layer;
    std::unique_ptr<Use> use;
  };
  absl::StatusOr<const std::vector<Entry>*> EntriesOf(const NamedParameter& parameter) const;
  // ConfigError for a parameter that is used in a way that was refused, or for the batch as a whole.
  absl::Status CheckUses(const std::vector<NamedParameter>& parameters, const std::vector<bool>& received) const;
  absl::StatusOr<std::vector<double>> SquaresOf(const NamedParameter& parameter) const;
  // `whole`: the norm of all gradients, for which rounding is judged.
  absl::Status Verify(const NamedParameter& parameter, double whole) const;

  int64_t samples_;
  bool finished_ = false;
  std::string refused_;
  std::map<const void*, std::vector<Entry>> uses_;  // by the parameter's TensorImpl
  std::map<const void*, std::string> refused_uses_;
  std::map<const void*, Derived> derived_;  // by the derived tensor's TensorImpl, which they keep alive
};

}  // namespace lanthorn::tscore
