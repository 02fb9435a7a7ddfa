// T-Score of one update, over one backward pass or over several whose gradients add up (micro-batches): Q adds up, S is
// taken from the final gradients, and N is the number of all samples.
//
//   Tally tally;
//   for each micro-batch:  recorder = tally.Open(parameters, samples);  forward;  backward;  tally.Add(recorder, ...)
//   tally.Finish(parameters)                       // before clipping and weight decay
#pragma once

#include <vector>

#include "engine/tscore/groups.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::tscore {

class Tally {
 public:
  explicit Tally(Grouping grouping = Grouping::kNone) : grouping_(grouping) {}

  // Opens the recorder of the next micro-batch, and notes what gradients there are before it.
  Recorder::Ptr Open(const std::vector<NamedParameter>& parameters, int64_t samples);
  // Takes the squares after the backward; without a call of Open the gradients must have been undefined before. A
  // parameter that this backward reached and no layer reported is an error that names it. `verify` as in
  // Recorder::Finish; it is done for the first micro-batch, whose gradients stand alone.
  absl::Status Add(Recorder* recorder, const std::vector<NamedParameter>& parameters, bool verify);
  // Takes samples that have no target, and so no gradient: they count.
  void AddWithoutTargets(int64_t samples) { sample_sq_.insert(sample_sq_.end(), static_cast<size_t>(samples), 0.0); }
  // The gradients have been multiplied by `factor` after the backward passes.
  void Scale(double factor);
  // The score, its groups, and its noise for a loss that is a mean over the samples.
  absl::StatusOr<Score> Finish(const std::vector<NamedParameter>& parameters) const;

 private:
  // Which gradient there is: in-place accumulation raises the version, anything else changes the tensor.
  struct Stamp {
    const void* gradient = nullptr;
    int64_t version = 0;
    bool operator==(const Stamp& other) const { return gradient == other.gradient && version == other.version; }
  };
  static Stamp StampOf(const NamedParameter& parameter);

  Grouping grouping_;
  bool first_ = true;
  std::vector<Stamp> before_;
  std::vector<double> sample_sq_, parameter_q_;
};

}  // namespace lanthorn::tscore
