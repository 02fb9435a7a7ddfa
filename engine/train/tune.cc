// Options that are changed while a training goes on, and where checkpoints keep them: what the loop itself reads is
// `tuned_`, by section and key, over the options that it was given; rates and options of the optimiser are in its
// groups, which checkpoints hold anyway.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {
namespace {

using nlohmann::json;

// What the loop reads anew at every update, by section.
const std::map<std::string, std::set<std::string>>& Tunable() {
  static const std::map<std::string, std::set<std::string>> tunable = {
      {"train", {"epochs", "max_steps"}},
      {"tscore", {"every"}},
      {"eval", {"val_cap"}},
      {"optim",
       {"clip_norm", "clip_value", "clip_each", "schedule", "warmup", "hold", "decay_every", "gamma", "min_factor"}}};
  return tunable;
}

bool IsTunable(const std::string& section, const std::string& key) {
  const auto found = Tunable().find(section);
  return found != Tunable().end() && found->second.contains(key);
}

// Gives the options of one section the values that `given` has for them.
class TakeValues {
 public:
  TakeValues(std::string section, const json& given) : section_(std::move(section)), given_(given) {}

  template <typename T>
  void operator()(const OptionRow& row, T& member) {
    const auto found = given_.find(row.name);
    if (found == given_.end() || !status_.ok()) return;
    const std::string path = absl::StrCat(section_, ".", row.name);
    if constexpr (std::is_same_v<T, std::string>) {
      if (!found->is_string() || std::find(row.one_of.begin(), row.one_of.end(), *found) == row.one_of.end())
        return Refuse(path, *found, "must be one of " + absl::StrJoin(row.one_of, ", "));
      member = found->template get<std::string>();
    } else if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
      if (!found->is_number()) return Refuse(path, *found, "must be a number");
      const double value = found->template get<double>();
      if (std::is_integral_v<T> && value != std::floor(value)) return Refuse(path, *found, "must be a whole number");
      if (!(value >= row.least)) return Refuse(path, *found, absl::StrFormat("must be at least %g", row.least));
      member = static_cast<T>(value);
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  void Refuse(const std::string& path, const json& value, const std::string& why) {
    status_ = ConfigError(absl::StrCat(path, " ", why, ", got ", value.dump()));
  }

  std::string section_;
  const json& given_;
  absl::Status status_;
};

// Puts the tunable options of one section into a table.
struct GiveValues {
  const std::string& section;
  json& into;

  template <typename T>
  void operator()(const OptionRow& row, T& member) const {
    if constexpr (!std::is_enum_v<T>) {
      if (IsTunable(section, row.name)) into[row.name] = member;
    }
  }
};

// Whether the optimiser has an option of this name, in any group.
bool HasOption(optim::Optimizer& optimizer, const std::string& key) {
  return std::any_of(optimizer.groups().begin(), optimizer.groups().end(),
                     [&](const optim::Group& group) { return group.options.contains(key); });
}

// "eval.val_cap, optim.beta1, ..."
std::string AllTunable(optim::Optimizer& optimizer) {
  std::set<std::string> names;
  for (const auto& [section, keys] : Tunable()) {
    for (const std::string& key : keys) names.insert(absl::StrCat(section, ".", key));
  }
  for (const optim::Group& group : optimizer.groups()) {
    for (const auto& [key, value] : group.options) names.insert("optim." + key);
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace

absl::Status Trainer::ApplyTuning(const json& changes) {
  FitOptions options = options_;
  options.train = given_.train;
  options.tscore = given_.tscore;
  options.eval.val_cap = given_.eval.val_cap;
  options.clip = given_.clip;
  options.schedule = given_.schedule;
  const bool ends_with_training = given_.schedule.total == given_.train.Updates(train_->count());
  absl::Status status;
  const auto take = [&](const char* name, auto& section) {
    const auto found = changes.find(name);
    if (found == changes.end() || !status.ok()) return;
    TakeValues values(name, *found);
    Fields(values, section);
    status = values.status();
  };
  OptimSection optim{options.clip, options.schedule};
  take("train", options.train);
  take("tscore", options.tscore);
  take("eval", options.eval);
  take("optim", optim);
  LANTHORN_RETURN_IF_ERROR(status);
  if (ends_with_training) options.schedule.total = options.train.Updates(train_->count());
  LANTHORN_RETURN_IF_ERROR(options.schedule.Validate());
  options_ = std::move(options);
  options_.guards.clip_norm = options_.clip.clip_norm;
  evaluator_.SetValCap(options_.eval.val_cap);
  tuned_ = changes;
  return absl::OkStatus();
}

absl::Status Trainer::TuneOptimizer(const json& changes) {
  for (const auto& [key, value] : changes.items()) {
    if (!value.is_number() || !std::isfinite(value.get<double>()) || (key == "lr" && value.get<double>() < 0))
      return ConfigError(absl::StrCat("optim.", key, " must be a number", key == "lr" ? " from 0" : "", ", got ",
                                      value.is_number() ? absl::StrCat(value.get<double>()) : value.dump()));
  }
  auto& groups = optimizer_->groups();
  for (const auto& [key, value] : changes.items()) {
    const double before = key == "lr" ? groups.front().base_lr : 0, now = value.get<double>();
    for (optim::Group& group : groups) {
      if (key == "lr") {
        group.base_lr = before > 0 ? group.base_lr * (now / before) : now;
      } else if (group.options.contains(key)) {
        group.options[key] = now;
      }
    }
    if (key == "lr") groups.front().base_lr = now;  // exactly
  }
  return absl::OkStatus();
}

absl::Status Trainer::Tune(const json& changes) {
  json loop = tuned_, optimizer = json::object();
  for (const auto& [section, keys] : changes.items()) {
    if (!keys.is_object()) return ConfigError(absl::StrCat("'", section, "' must be a table of options"));
    for (const auto& [key, value] : keys.items()) {
      if (IsTunable(section, key)) {
        loop[section][key] = value;
      } else if (section == "optim" && HasOption(*optimizer_, key)) {
        optimizer[key] = value;
      } else {
        return ConfigError(absl::StrCat(
            section, ".", key, " cannot be changed while the model trains; what can: ", AllTunable(*optimizer_)));
      }
    }
  }
  const json before = tuned_;
  const int64_t epochs = options_.train.epochs;
  LANTHORN_RETURN_IF_ERROR(ApplyTuning(loop));
  if (options_.train.epochs != epochs && options_.train.epochs < result_.epoch && result_.steps > 0) {
    const int64_t wanted = options_.train.epochs;
    LANTHORN_RETURN_IF_ERROR(ApplyTuning(before));
    return ConfigError(absl::StrFormat("train.epochs=%d: epoch %d has begun already", wanted, result_.epoch));
  }
  if (absl::Status status = TuneOptimizer(optimizer); !status.ok()) {
    LANTHORN_RETURN_IF_ERROR(ApplyTuning(before));
    return status;
  }
  return absl::OkStatus();
}

json Trainer::Tuning() const {
  FitOptions now = options_;
  json all;
  const auto give = [&](const std::string& name, auto& section) { Fields(GiveValues{name, all[name]}, section); };
  OptimSection optim{now.clip, now.schedule};
  give("train", now.train);
  give("tscore", now.tscore);
  give("eval", now.eval);
  give("optim", optim);
  const optim::Group& first = optimizer_->groups().front();
  for (const auto& [key, value] : first.options) all["optim"][key] = value;
  all["optim"]["lr"] = first.base_lr;
  return all;
}

}  // namespace lanthorn::train
