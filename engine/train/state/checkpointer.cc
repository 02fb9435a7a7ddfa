#include "engine/train/state/checkpointer.h"

#include <ATen/core/Tensor.h>

#include "absl/strings/str_format.h"

namespace lanthorn::train {
namespace {

constexpr int64_t kMostFailures = 3;

int64_t BytesOf(const CheckpointContent& content) {
  int64_t bytes = 0;
  for (const NamedTensors* tensors : {&content.model, &content.optimizer, &content.penalty, &content.hybrid}) {
    for (const auto& [name, tensor] : *tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  }
  return bytes;
}

// With copies of its tensors, which the training goes on changing.
CheckpointContent Copied(CheckpointContent content) {
  for (NamedTensors* tensors : {&content.model, &content.optimizer, &content.hybrid}) {
    for (auto& [name, tensor] : *tensors) tensor = tensor.detach().clone();
  }
  return content;
}

}  // namespace

Checkpointer::Checkpointer(std::shared_ptr<RunDirectory> run, CheckpointOptions options, SnapshotFn snapshot,
                           ClockFn clock)
    : run_(std::move(run)),
      options_(std::move(options)),
      snapshot_(std::move(snapshot)),
      clock_(std::move(clock)),
      store_(run_->path(), run_->id()),
      begin_(clock_()),
      last_save_(begin_) {
  store_.RemoveLeftovers();
}

bool Checkpointer::IsDue(int64_t step) const {
  if (options_.every_steps > 0 && step % options_.every_steps == 0) return true;
  return options_.every_s > 0 && clock_() - last_save_ >= options_.every_s;
}

absl::StatusOr<CheckpointContent> Checkpointer::TakeSnapshot() {
  const double begin = clock_();
  absl::StatusOr<CheckpointContent> content = snapshot_();
  snapshot_seconds_ = clock_() - begin;
  seconds_ += snapshot_seconds_;
  return content;
}

absl::Status Checkpointer::Save(int64_t step) {
  if (step == last_step_) return absl::OkStatus();
  LANTHORN_ASSIGN_OR_RETURN(const CheckpointContent content, TakeSnapshot());
  return Write(content, /*best=*/false);
}

absl::Status Checkpointer::AtEpochEnd(int64_t epoch, int64_t step, bool best) {
  const bool regular = options_.every_epochs > 0 && epoch % options_.every_epochs == 0;
  const bool affordable = seconds_ <= options_.most_share * (clock_() - begin_);
  if (IsDue(step) || (regular && affordable)) {
    LANTHORN_ASSIGN_OR_RETURN(const CheckpointContent content, TakeSnapshot());
    if (best) best_.reset();
    return Write(content, best);
  }
  if (best) {
    LANTHORN_ASSIGN_OR_RETURN(CheckpointContent content, TakeSnapshot());
    best_ = Copied(std::move(content));
  }
  return absl::OkStatus();
}

absl::Status Checkpointer::AtEnd(int64_t step, bool best) {
  if (best_ && best_->step == step) best_.reset();
  LANTHORN_RETURN_IF_ERROR(WriteHeld());
  if (step == last_step_) return best ? store_.Link("best", CheckpointName(step)) : absl::OkStatus();
  LANTHORN_ASSIGN_OR_RETURN(const CheckpointContent content, TakeSnapshot());
  return Write(content, best);
}

absl::Status Checkpointer::WriteHeld() {
  if (!best_) return absl::OkStatus();
  const CheckpointContent held = *std::move(best_);
  best_.reset();
  return Write(held, /*best=*/true);
}

absl::Status Checkpointer::SaveAnew(int64_t step) {
  LANTHORN_RETURN_IF_ERROR(store_.SetAside(step).status());
  last_step_ = -1;
  return Save(step);
}

std::optional<std::string> Checkpointer::RoomProblem(int64_t bytes) {
  const int64_t needed = CheckpointStore::SpaceNeeded(bytes);
  std::optional<int64_t> room = store_.SpaceFree();
  if (room && *room < needed) {
    store_.Retain({.last = 1, .every = 0});
    room = store_.SpaceFree();
  }
  if (!room || *room >= needed) return std::nullopt;
  return absl::StrFormat("'%s': a checkpoint needs %.0f MB free, there are %.0f MB", store_.folder(),
                         static_cast<double>(needed) / 1e6, static_cast<double>(*room) / 1e6);
}

absl::StatusOr<Checkpointer::Outcome> Checkpointer::TryWrite(const CheckpointContent& content, bool best) {
  const double begin = clock_();
  const std::string name = CheckpointName(content.step);
  std::optional<std::string> problem = RoomProblem(BytesOf(content));
  absl::StatusOr<WrittenCheckpoint> written = WrittenCheckpoint{};
  if (!problem) {
    written = store_.Write(content);
    absl::Status status = written.status();
    if (status.ok()) status = store_.Link("latest", name);
    if (status.ok() && best) status = store_.Link("best", name);
    // What is wrong with the content itself is wrong the next time too.
    if (!status.ok() && ExitCodeOf(status) != ExitCode::kMachine) return status;
    if (!status.ok()) problem = MessageOf(status);
  }
  if (problem) {
    LANTHORN_RETURN_IF_ERROR(run_->LogMetrics(
        {{"kind", "event"}, {"event", "checkpoint_failed"}, {"step", content.step}, {"message", *problem}}));
    if (++failures_ < kMostFailures) {
      options_.warn("warning: checkpoint at update " + std::to_string(content.step) +
                    " failed, training goes on: " + *problem);
      return Outcome::kFailed;
    }
    return MachineError(absl::StrFormat("checkpoint: %d saves in a row failed: %s", failures_, *problem));
  }
  failures_ = 0;
  store_.Retain(options_.retention);
  seconds_ += clock_() - begin;
  LANTHORN_RETURN_IF_ERROR(run_->LogMetrics({{"kind", "event"},
                                             {"event", "checkpoint"},
                                             {"step", content.step},
                                             {"name", name},
                                             {"best", best},
                                             {"size_mb", static_cast<double>(written->bytes) / 1e6},
                                             {"snapshot_ms", snapshot_seconds_ * 1e3},
                                             {"save_ms", (clock_() - begin) * 1e3}}));
  LANTHORN_RETURN_IF_ERROR(run_->UpdateStatus({{"last_checkpoint", name}}));
  return Outcome::kSaved;
}

absl::Status Checkpointer::Write(const CheckpointContent& content, bool best) {
  // The one that waits in memory is older, and goes first.
  if (best_ && best_->step < content.step) LANTHORN_RETURN_IF_ERROR(WriteHeld());
  LANTHORN_ASSIGN_OR_RETURN(const Outcome outcome, TryWrite(content, best));
  if (outcome == Outcome::kSaved) last_step_ = content.step;
  last_save_ = clock_();
  return absl::OkStatus();
}

}  // namespace lanthorn::train
