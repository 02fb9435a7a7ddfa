// The trainer's side of checkpoints: what is in one, and how a training goes on from it.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "absl/strings/escaping.h"
#include "absl/strings/str_format.h"
#include "engine/base/files/files.h"
#include "engine/run/process/machine.h"
#include "engine/train/eval/eval_scope.h"
#include "engine/train/fetch.h"
#include "engine/train/state/random_state.h"
#include "engine/train/trainer.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::train {
namespace {

using nlohmann::json;

constexpr int64_t kProbeRows = 4;
constexpr double kOtherMachine = 1e-5;  // relative distance of sums that other arithmetic may make

std::string BytesOf(const at::Tensor& tensor) {
  const at::Tensor plain = tensor.detach().to(c10::kCPU).contiguous();
  return {static_cast<const char*>(plain.data_ptr()), plain.nbytes()};
}

NamedTensors Pairs(const std::vector<nn::NamedParameter>& tensors) {
  NamedTensors pairs;
  for (const auto& one : tensors) pairs.emplace_back(one.name, one.tensor.detach());
  return pairs;
}

std::vector<nn::NamedParameter> Named(const NamedTensors& pairs) {
  std::vector<nn::NamedParameter> tensors;
  for (const auto& [name, tensor] : pairs) tensors.push_back({name, tensor});
  return tensors;
}

json RandomBytes() {
  const at::Tensor state = at::detail::getDefaultCPUGenerator().get_state();
  return absl::Base64Escape(BytesOf(state));
}

absl::Status SetRandomBytes(const std::string& text) {
  std::string bytes;
  at::Generator generator = at::detail::getDefaultCPUGenerator();
  at::Tensor state = generator.get_state();
  if (!absl::Base64Unescape(text, &bytes) || bytes.size() != state.nbytes())
    return WeightsError("the random state is not one of this LibTorch");
  state = state.clone();
  std::copy(bytes.begin(), bytes.end(), static_cast<char*>(state.data_ptr()));
  generator.set_state(state);
  return absl::OkStatus();
}

// What the last bit of a result may depend on.
std::string Arithmetic() {
  const json machine = MachineFingerprint(), versions = LibraryVersions();
  return "sha256:" + Sha256Hex(json({machine["cpu"], machine["flags"], versions}).dump());
}

// How long steps took so far, by name.
std::vector<std::pair<std::string, std::optional<double>*>> StepSeconds(FitResult* result) {
  return {{"median", &result->step_median_s},
          {"p10", &result->step_p10_s},
          {"p90", &result->step_p90_s},
          {"micro_median", &result->micro_median_s}};
}

}  // namespace

void Trainer::SaveTo(std::shared_ptr<RunDirectory> run, CheckpointOptions options,
                     std::function<absl::StatusOr<json>()> extra) {
  extra_ = std::move(extra);
  config_hash_ = run->config_hash();
  checkpointer_ = std::make_unique<Checkpointer>(
      std::move(run), std::move(options),
      [this]() -> absl::StatusOr<CheckpointContent> {
        CheckpointContent content;
        if (stop_point_) {
          content = *stop_point_;
          content.state["result"] = ToJson(result_);
        } else {
          LANTHORN_ASSIGN_OR_RETURN(content, Snapshot());
        }
        TimeSteps();  // an end of an epoch may be that of the training
        for (const auto& [name, seconds] : StepSeconds(&result_)) {
          if (*seconds) content.state["step_seconds"][name] = **seconds;
        }
        return content;
      },
      &Now);
}

// The outputs for a few fixed samples, or, where the forward is written in Lua, their loss.
absl::StatusOr<json> Trainer::Probe() {
  const RandomState random;
  const EvalScope eval(*model_);
  const tscore::Recorder::Pause no_recorder;
  const at::NoGradGuard no_grad;
  train_->SetEpoch(0);
  PhaseSeconds unused{};
  const data::Batch batch = Fetch(*train_, 0, options_.device, &unused);
  train_->SetEpoch(result_.epoch - 1);
  const int64_t rows = std::min(kProbeRows, batch.x.size(0));
  const data::Batch few = {batch.x.narrow(0, 0, rows), batch.y.narrow(0, 0, rows)};
  at::Tensor output;
  if (model_->HasForward()) {
    output = model_->Forward(few.x, nullptr);
  } else {
    LANTHORN_ASSIGN_OR_RETURN(const Loss loss, loss_(few));
    output = loss.mean;
  }
  return json{{"of", model_->HasForward() ? "outputs" : "loss"},
              {"rows", rows},
              {"sha256", "sha256:" + Sha256Hex(BytesOf(output))},
              {"sum", output.to(c10::kDouble).sum().item<double>()},
              {"arithmetic", Arithmetic()}};
}

absl::StatusOr<CheckpointContent> Trainer::Snapshot() {
  CheckpointContent content;
  content.step = result_.steps;
  content.model = Pairs(model_->StateDict());
  content.model_metadata = model_->Metadata();
  content.optimizer = Pairs(optimizer_->StateTensors());
  json groups = json::array();
  for (const optim::Group& group : optimizer_->groups())
    groups.push_back({{"options", group.options}, {"base_lr", group.base_lr}});
  const double done = static_cast<double>(result_.batch) / static_cast<double>(std::max<int64_t>(1, train_->count()));
  content.state = {
      {"epoch", static_cast<double>(result_.epoch - 1) + done},
      {"micro_step", result_.batch},
      {"tokens_backprop", result_.tokens},
      {"world_size", 1},
      {"config_hash", config_hash_},
      {"ranks", json::array({{{"rng", {{"torch_cpu", RandomBytes()}}},
                              {"sampler", {{"epoch", result_.epoch}, {"index", result_.batch}}}}})},
      {"schedule",
       {{"name", options_.schedule.name},
        {"total", options_.schedule.total},
        {"factor", options_.schedule.Factor(result_.steps)}}},
      {"optimizer", {{"name", optimizer_->name()}, {"steps", optimizer_->steps()}, {"groups", std::move(groups)}}},
      {"fit", ToJson(result_)},
      {"extra", nullptr}};
  if (!tuned_.empty()) content.state["tuned"] = tuned_;
  if (penalty_ != nullptr && penalty_->active()) {
    content.penalty = penalty_->Tensors();
    content.state["penalty"] = penalty_->State();
  }
  if (hybrid_ != nullptr) {
    content.hybrid = hybrid_->Tensors();
    content.state["hybrid"] = hybrid_->State();
  }
  if (extra_) {
    LANTHORN_ASSIGN_OR_RETURN(content.state["extra"], extra_());
  }
  LANTHORN_ASSIGN_OR_RETURN(content.probe, Probe());
  return content;
}

// The same with tensors of its own: those of a snapshot share their memory with what goes on changing.
absl::StatusOr<CheckpointContent> Trainer::SnapshotApart() {
  LANTHORN_ASSIGN_OR_RETURN(CheckpointContent content, Snapshot());
  for (NamedTensors* tensors : {&content.model, &content.optimizer, &content.penalty, &content.hybrid}) {
    for (auto& [name, tensor] : *tensors) tensor = tensor.clone();
  }
  return content;
}

absl::Status Trainer::Load(const CheckpointContent& content) {
  try {
    LANTHORN_ASSIGN_OR_RETURN(FitState fit, FitStateFromJson(content.state.at("fit")));
    const json& optimizer = content.state.at("optimizer");
    const std::string kind = optimizer.at("name");
    auto& groups = optimizer_->groups();
    if (kind != optimizer_->name() || optimizer.at("groups").size() != groups.size())
      return WeightsError(absl::StrFormat("it is of %s with %d groups of parameters, this training has %s with %d",
                                          kind, optimizer.at("groups").size(), optimizer_->name(), groups.size()));
    if (fit.steps != content.step) return WeightsError(absl::StrFormat("its state is of update %d", fit.steps));
    LANTHORN_RETURN_IF_ERROR(ApplyTuning(content.state.value("tuned", json::object())));
    LANTHORN_RETURN_IF_ERROR(model_->LoadStateDict(Named(content.model)));
    LANTHORN_RETURN_IF_ERROR(optimizer_->LoadState(Named(content.optimizer), optimizer.at("steps")));
    for (size_t i = 0; i < groups.size(); ++i) {
      optimizer["groups"][i].at("options").get_to(groups[i].options);
      optimizer["groups"][i].at("base_lr").get_to(groups[i].base_lr);
    }
    unclaimed_.reset();
    if (content.state.contains("penalty")) {
      if (penalty_ == nullptr) {
        unclaimed_ = content;
      } else {
        LANTHORN_RETURN_IF_ERROR(penalty_->Load(content.penalty, content.state["penalty"]));
      }
    } else if (penalty_ != nullptr) {
      penalty_->Clear();
    }
    if (hybrid_ != nullptr && content.state.contains("hybrid"))
      LANTHORN_RETURN_IF_ERROR(hybrid_->Load(content.hybrid, content.state["hybrid"]));
    static_cast<FitState&>(result_) = std::move(fit);
    train_->SetEpoch(result_.epoch - 1);
    return SetRandomBytes(content.state.at("ranks").at(0).at("rng").at("torch_cpu"));
  } catch (const json::exception& error) {
    return WeightsError(absl::StrCat("state.json: ", error.what()));
  }
}

// Loads a checkpoint and looks whether the model gives the outputs that were recorded with it.
absl::StatusOr<CheckpointContent> Trainer::LoadChecked(const CheckpointStore& store, Restored* restored) {
  if (restored->checkpoint.empty()) {
    LANTHORN_ASSIGN_OR_RETURN(FoundCheckpoint found, store.Newest());
    restored->checkpoint = found.name;
    restored->passed_over = std::move(found.passed_over);
  }
  LANTHORN_ASSIGN_OR_RETURN(CheckpointContent content, store.Read(restored->checkpoint));
  restored->step = content.step;
  restored->extra = content.state.value("extra", json());
  const std::string subject = absl::StrCat("checkpoint '", restored->checkpoint, "': ");
  if (absl::Status status = Load(content); !status.ok()) return WeightsError(subject + MessageOf(status));
  LANTHORN_ASSIGN_OR_RETURN(const json probe, Probe());
  if (!content.probe.is_object() || content.probe.value("sha256", "") == probe["sha256"]) return content;
  const double was = content.probe.value("sum", 0.0), is = probe["sum"].get<double>();
  const std::string sums = absl::StrFormat("sum %.9g, recorded %.9g", is, was);
  const bool same_arithmetic = content.probe.value("arithmetic", "") == probe["arithmetic"];
  if (same_arithmetic || !(std::abs(is - was) <= kOtherMachine * std::max(1.0, std::abs(was)))) {
    return WeightsError(absl::StrCat("G25 strict_load: ", subject,
                                     "the restored model does not give the recorded outputs (", sums,
                                     "); was the script or the data changed?"));
  }
  restored->note = "another machine's arithmetic: " + sums;
  return content;
}

absl::StatusOr<Restored> Trainer::Restore(CheckpointStore store, const std::string& name) {
  Restored restored;
  restored.checkpoint = name;
  LANTHORN_RETURN_IF_ERROR(LoadChecked(store, &restored).status());
  if (unclaimed_) {
    return WeightsError(absl::StrFormat(
        "checkpoint '%s': its training had the penalty '%s', this one has none; give the callback of that name",
        restored.checkpoint, unclaimed_->state["penalty"].value("name", "?")));
  }
  LANTHORN_ASSIGN_OR_RETURN(restored.set_aside, store.SetAside(restored.step));
  return restored;
}

absl::StatusOr<FitResult> Trainer::RestoreFinished(const CheckpointStore& store, Restored* restored) {
  LANTHORN_ASSIGN_OR_RETURN(const CheckpointContent content, LoadChecked(store, restored));
  const auto result = content.state.find("result");
  if (result != content.state.end()) {
    LANTHORN_ASSIGN_OR_RETURN(static_cast<FitState&>(result_), FitStateFromJson(*result));
  }
  const json times = content.state.value("step_seconds", json::object());
  for (const auto& [name, seconds] : StepSeconds(&result_)) {
    if (const auto found = times.find(name); found != times.end() && found->is_number())
      *seconds = found->get<double>();
  }
  return result_;
}

}  // namespace lanthorn::train
