#include "engine/train/state/fit_state.h"

#include <type_traits>

namespace lanthorn::train {
namespace {

using nlohmann::json;

// One list of fields serves both directions: it is visited with a writer or with a reader.
struct Writer {
  json& to;
  template <typename T>
  void operator()(const char* name, const T& value);
  template <typename T>
  void Later(const char* name, const T& value) {
    (*this)(name, value);
  }
};

struct Reader {
  const json& from;
  template <typename T>
  void operator()(const char* name, T& value);
  // A field that the first checkpoints do not have: what is missing keeps its default.
  template <typename T>
  void Later(const char* name, T& value) {
    if (from.contains(name)) (*this)(name, value);
  }
};

template <typename Visitor, typename T>
void Fields(Visitor visit, T& value) {
  using Plain = std::remove_const_t<T>;
  if constexpr (std::is_same_v<Plain, tscore::Statistics>) {
    visit("counted", value.counted);
    visit("skipped", value.skipped);
    visit("sum", value.sum);
    visit("sum_sq_dev", value.sum_sq_dev);
    visit("mean", value.mean);
  } else if constexpr (std::is_same_v<Plain, tscore::NoiseStatistics>) {
    visit("trace", value.trace);
    visit("signal", value.signal);
  } else if constexpr (std::is_same_v<Plain, EpochSums>) {
    visit("seconds", value.seconds);
    visit("tokens", value.tokens);
    visit.Later("loss_sum", value.loss_sum);
    visit.Later("loss_targets", value.loss_targets);
    visit.Later("samples", value.samples);
    visit.Later("empty", value.empty);
    visit("tscore", value.tscore);
    visit("noise", value.noise);
  } else if constexpr (std::is_same_v<Plain, NamedValue>) {
    visit("name", value.name);
    visit("value", value.value);
  } else if constexpr (std::is_same_v<Plain, EpochRecord>) {
    visit("epoch", value.epoch);
    visit("epochs", value.epochs);
    visit("step", value.step);
    visit("train_loss", value.train_loss);
    visit("val_loss", value.val_loss);
    visit.Later("metrics", value.metrics);
    visit("tscore", value.tscore);
    visit("noise", value.noise);
    visit("seconds", value.seconds);
    visit("eval_seconds", value.eval_seconds);
    visit("tokens_per_s", value.tokens_per_s);
    visit.Later("samples_per_s", value.samples_per_s);
    visit("best", value.best);
  } else {
    static_assert(std::is_same_v<Plain, FitState>);
    visit("steps", value.steps);
    visit("tokens", value.tokens);
    visit("epoch", value.epoch);
    visit("batch", value.batch);
    visit("seconds", value.seconds);
    visit("eval_seconds", value.eval_seconds);
    visit("sums", value.sums);
    visit("tscore", value.tscore);
    visit("noise", value.noise);
    visit("epochs", value.epochs);
    visit("best", value.best);
    visit.Later("samples", value.samples);
    visit.Later("tokens_forward", value.tokens_forward);
    visit.Later("skipped", value.skipped);
    visit.Later("empty", value.empty);
    visit.Later("first_loss", value.first_loss);
    visit.Later("domain_losses", value.domain_losses);
    visit.Later("rollbacks", value.rollbacks);
    visit.Later("lr_factor", value.lr_factor);
  }
}

template <typename T>
json Written(const T& value) {
  if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
    return value;
  } else {
    json object = json::object();
    Fields(Writer{object}, value);
    return object;
  }
}

template <typename T>
json Written(const std::optional<T>& value) {
  return value ? Written(*value) : json();
}

template <typename T>
json Written(const std::vector<T>& values) {
  json list = json::array();
  for (const T& value : values) list.push_back(Written(value));
  return list;
}

template <typename T>
void Writer::operator()(const char* name, const T& value) {
  to[name] = Written(value);
}

template <typename T>
void Read(const json& from, T& value) {
  if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
    from.get_to(value);
  } else {
    Fields(Reader{from}, value);
  }
}

template <typename T>
void Read(const json& from, std::optional<T>& value) {
  value.reset();
  if (!from.is_null()) Read(from, value.emplace());
}

template <typename T>
void Read(const json& from, std::vector<T>& values) {
  values.clear();
  for (const json& one : from) Read(one, values.emplace_back());
}

template <typename T>
void Reader::operator()(const char* name, T& value) {
  Read(from.at(name), value);
}

}  // namespace

json ToJson(const FitState& state) { return Written(state); }

absl::StatusOr<FitState> FitStateFromJson(const json& from) {
  FitState state;
  try {
    Read(from, state);
  } catch (const json::exception& error) {
    return WeightsError(absl::StrCat("the state of the training cannot be read: ", error.what()));
  }
  if (state.steps < 0 || state.epoch < 1 || state.batch < 0)
    return WeightsError("the state of the training is impossible: a count is negative");
  return state;
}

}  // namespace lanthorn::train
