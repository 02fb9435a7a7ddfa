#include "engine/train/eval/generate.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_format.h"
#include "engine/kernels/linear/packed_weights.h"
#include "engine/nn/decoding.h"
#include "engine/tscore/recorder.h"

namespace lanthorn::train {
namespace {

// Draws an id from logits (V).
int64_t Draw(at::Tensor logits, const SampleOptions& options, const at::Generator& generator) {
  if (options.temperature == 0) return logits.argmax().item<int64_t>();
  logits = logits.to(c10::kCPU, c10::kDouble) / options.temperature;
  const int64_t V = logits.numel();
  auto [sorted, order] = logits.sort(/*stable=*/true, /*dim=*/0, /*descending=*/true);
  at::Tensor probability = at::softmax(sorted, 0);
  if (options.top_k > 0 && options.top_k < V) probability.narrow(0, options.top_k, V - options.top_k).zero_();
  if (options.top_p < 1) {
    // The first token that reaches the share still counts: what lies before a token must be below it.
    const at::Tensor before = probability.cumsum(0) - probability;
    probability.masked_fill_(before.ge(options.top_p * probability.sum().item<double>()), 0);
  }
  return order[at::multinomial(probability, 1, false, generator).item<int64_t>()].item<int64_t>();
}

absl::Status Validate(const LanguageModel& model, const std::vector<at::Tensor>& prompts, const SampleOptions& o) {
  for (const at::Tensor& prompt : prompts) {
    if (prompt.dim() != 1 || prompt.numel() == 0)
      return ConfigError("generate: the prompt must hold at least one token");
    if (model.max_length > 0 && prompt.numel() > model.max_length) {
      return ConfigError(absl::StrFormat("generate: the prompt has %d tokens, the model takes %d (max_len); shorten it",
                                         prompt.numel(), model.max_length));
    }
  }
  if (o.length < 0) return ConfigError(absl::StrFormat("generate: length must not be negative, got %d", o.length));
  if (!(o.temperature >= 0) || std::isinf(o.temperature))
    return ConfigError(absl::StrFormat("generate: temperature must be 0 or more, got %g", o.temperature));
  if (o.top_k < 0) return ConfigError(absl::StrFormat("generate: top_k must be 0 (all) or more, got %d", o.top_k));
  if (!(o.top_p > 0 && o.top_p <= 1))
    return ConfigError(absl::StrFormat("generate: top_p must be in (0, 1], got %g", o.top_p));
  if (o.most < 0) return ConfigError(absl::StrFormat("generate: most must be 0 (any number) or more, got %d", o.most));
  return absl::OkStatus();
}

// Reads sequences of equal length from their beginning on, some positions at a time.
class Reader {
 public:
  Reader(const LanguageModel& model, bool cache) : model_(model) {
    if (cache && model.decodes) decoding_.emplace(model.max_length);
  }

  // The logits (B, V) behind the next positions, ids (B, t).
  absl::StatusOr<at::Tensor> Next(const at::Tensor& ids) {
    context_ = context_.defined() ? at::cat({context_, ids}, 1) : ids;
    if (state_.empty() && model_.max_length > 0 && context_.size(1) > model_.max_length) {
      context_ = context_.narrow(1, context_.size(1) - model_.max_length, model_.max_length);
      decoding_.reset();  // every position has moved
    }
    const bool next_alone = !state_.empty() || decoding_;
    LANTHORN_ASSIGN_OR_RETURN(const at::Tensor logits, model_.forward(next_alone ? ids : context_, &state_));
    if (decoding_) decoding_->Advance(ids.size(1));
    return logits.select(1, logits.size(1) - 1);
  }

 private:
  const LanguageModel& model_;
  at::Tensor context_;
  nn::State state_;
  std::optional<nn::Decoding> decoding_;
};

// A text that is being drawn.
struct Text {
  const at::Tensor& prompt;
  int64_t length;  // tokens to draw
  std::vector<int64_t> drawn = {};
  bool ended = false;
  bool done() const { return ended || static_cast<int64_t>(drawn.size()) >= length; }
  // The id at a position that is read.
  int64_t At(int64_t position) const {
    if (position < prompt.numel()) return prompt.data_ptr<int64_t>()[position];
    const size_t i = static_cast<size_t>(position - prompt.numel());
    return i < drawn.size() ? drawn[i] : prompt.data_ptr<int64_t>()[0];  // of a text that is done: anything
  }
};

}  // namespace

absl::StatusOr<std::vector<at::Tensor>> Generate(const LanguageModel& model, const std::vector<at::Tensor>& prompts,
                                                 const std::vector<at::Generator>& generators,
                                                 const SampleOptions& options) {
  LANTHORN_RETURN_IF_ERROR(Validate(model, prompts, options));
  const at::NoGradGuard no_grad;
  const tscore::Recorder::Pause no_recorder;
  const kernels::PackedWeights packed;
  std::vector<Text> texts;
  int64_t read = prompts.empty() ? 0 : prompts[0].numel();  // positions: the shortest prompt at first
  for (const at::Tensor& prompt : prompts) {
    const int64_t room = options.most > 0 ? std::max<int64_t>(0, options.most - prompt.numel()) : options.length;
    texts.push_back({prompt, std::min(options.length, room)});
    read = std::min(read, prompt.numel());
  }
  Reader reader(model, options.cache);
  const auto done = [&] { return std::all_of(texts.begin(), texts.end(), [](const Text& t) { return t.done(); }); };
  for (int64_t from = 0; !done(); from = read, ++read) {
    const at::Tensor ids = at::empty({static_cast<int64_t>(texts.size()), read - from}, c10::kLong);
    for (size_t i = 0; i < texts.size(); ++i) {
      for (int64_t at = from; at < read; ++at)
        ids.data_ptr<int64_t>()[static_cast<int64_t>(i) * (read - from) + at - from] = texts[i].At(at);
    }
    LANTHORN_ASSIGN_OR_RETURN(const at::Tensor logits, reader.Next(ids));
    for (size_t i = 0; i < texts.size(); ++i) {
      Text& text = texts[i];
      if (text.done() || read < text.prompt.numel()) continue;
      const int64_t id = Draw(logits[static_cast<int64_t>(i)], options, generators[i]);
      text.ended = id == options.stop;
      if (!text.ended) text.drawn.push_back(id);
    }
  }
  std::vector<at::Tensor> result;
  for (const Text& text : texts) result.push_back(at::tensor(text.drawn, c10::kLong));
  return result;
}

}  // namespace lanthorn::train
