#include "engine/data/domains.h"

#include <ATen/Functions.h>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "engine/base/files.h"

namespace lanthorn::data {
namespace {

absl::Status Validate(const std::vector<DomainSource>& sources, const DomainOptions& o) {
  if (sources.empty()) return ConfigError("data.domains: no domain is given, expected at least one file or corpus");
  if (o.batch < 1 || o.seq < 1 || o.stride < 1) {
    return ConfigError(absl::StrFormat("data.domains: batch, seq and stride must be at least 1, got %d, %d and %d",
                                       o.batch, o.seq, o.stride));
  }
  if (!(o.train > 0 && o.val > 0 && o.train + o.val <= 1)) {
    return ConfigError(absl::StrFormat(
        "data.domains: the shares of train and val must be positive and at most 1 together, got %g and %g", o.train,
        o.val));
  }
  if (o.words < 0 || o.batches < 0) return ConfigError("data.domains: words and batches must not be negative");
  for (int64_t phase : o.phases) {
    if (phase < 0 || phase >= static_cast<int64_t>(sources.size())) {
      return ConfigError(
          absl::StrFormat("data.domains: phases names domain %d, expected 1 to %d, the number of texts; set "
                          "domains.phases to match",
                          phase + 1, sources.size()));
    }
  }
  return absl::OkStatus();
}

// The place at or after `at` where text may be cut: after white space for words, between code points for characters.
size_t CutAt(const std::string& text, size_t at, bool words) {
  if (words) {
    while (at < text.size() && !absl::ascii_isspace(static_cast<unsigned char>(text[at]))) ++at;
  } else {
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  }
  return at;
}

struct Splits {
  std::string train, val, test;
};

Splits Split(const std::string& text, const DomainOptions& o) {
  const auto place = [&](double share) {
    return CutAt(text, static_cast<size_t>(share * static_cast<double>(text.size())), o.words > 0);
  };
  const size_t train = place(o.train), val = std::max(train, place(o.train + o.val));
  return {text.substr(0, train), text.substr(train, val - train), text.substr(val)};
}

double UnknownShare(const Tokenizer& tokenizer, const at::Tensor& ids) {
  if (tokenizer.unknown() < 0 || ids.numel() == 0) return 0;
  return static_cast<double>(ids.eq(tokenizer.unknown()).sum().item<int64_t>()) / static_cast<double>(ids.numel());
}

absl::StatusOr<std::string> ReadSource(const DomainSource& source, bool words, Domain* domain) {
  LANTHORN_ASSIGN_OR_RETURN(std::string text, ReadFile(source.path));
  domain->name = source.name;
  domain->path = source.path;
  domain->sha256 = Sha256Hex(text);
  domain->bytes = static_cast<int64_t>(text.size());
  if (!source.sha256.empty() && domain->sha256 != source.sha256) {
    return DataError(absl::StrFormat(
        "domain '%s': '%s' is not the file that was pinned: sha256 %s, expected %s; remove or replace it", source.name,
        source.path, domain->sha256, source.sha256));
  }
  if (source.bytes > domain->bytes) {
    return DataError(absl::StrFormat("domain '%s': bytes=%d, but '%s' has only %d", source.name, source.bytes,
                                     source.path, domain->bytes));
  }
  if (source.bytes > 0) text.resize(CutAt(text, static_cast<size_t>(source.bytes), words));
  return text;
}

absl::StatusOr<std::shared_ptr<Tokenizer>> MakeTokenizer(const std::vector<Splits>& texts, int64_t words) {
  std::string all;
  for (const Splits& one : texts) all += words > 0 ? one.train + "\n" : one.train + one.val + one.test;
  if (words > 0) {
    LANTHORN_ASSIGN_OR_RETURN(WordTokenizer made, WordTokenizer::FromText(all, words));
    return std::make_shared<WordTokenizer>(std::move(made));
  }
  LANTHORN_ASSIGN_OR_RETURN(CharTokenizer made, CharTokenizer::FromText(all));
  return std::make_shared<CharTokenizer>(std::move(made));
}

}  // namespace

PhaseBatches::PhaseBatches(std::vector<std::shared_ptr<WindowBatches>> phases, bool interleaved)
    : phases_(std::move(phases)), interleaved_(interleaved) {
  int64_t least = phases_.front()->count();
  for (const auto& phase : phases_) {
    count_ += phase->count();
    least = std::min(least, phase->count());
  }
  if (interleaved_) count_ = least * static_cast<int64_t>(phases_.size());
}

Batch PhaseBatches::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count_, "[batches] batch ", index, " of ", count_);
  if (interleaved_) {
    const auto phases = static_cast<int64_t>(phases_.size());
    return phases_[static_cast<size_t>(index % phases)]->Get(index / phases);
  }
  size_t phase = 0;
  while (index >= phases_[phase]->count()) index -= phases_[phase++]->count();
  return phases_[phase]->Get(index);
}

void PhaseBatches::SetEpoch(int64_t epoch) {
  for (const auto& phase : phases_) phase->SetEpoch(epoch);
}

std::vector<int64_t> PhaseBatches::Ends() const {
  if (interleaved_) return {count_};
  std::vector<int64_t> ends;
  for (const auto& phase : phases_) ends.push_back((ends.empty() ? 0 : ends.back()) + phase->count());
  return ends;
}

JoinedBatches::JoinedBatches(std::vector<std::shared_ptr<WindowBatches>> parts) : parts_(std::move(parts)) {
  int64_t most = 0;
  for (const auto& part : parts_) most = std::max(most, part->count());
  for (int64_t index = 0; index < most; ++index) {
    for (size_t part = 0; part < parts_.size(); ++part) {
      if (index < parts_[part]->count()) order_.emplace_back(part, index);
    }
  }
}

Batch JoinedBatches::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count(), "[batches] batch ", index, " of ", count());
  const auto& [part, at] = order_[static_cast<size_t>(index)];
  return parts_[part]->Get(at);
}

absl::StatusOr<std::shared_ptr<Domains>> Domains::Open(const std::vector<DomainSource>& sources,
                                                       const DomainOptions& options) {
  LANTHORN_RETURN_IF_ERROR(Validate(sources, options));
  auto made = std::make_shared<Domains>();
  std::vector<Splits> texts;
  for (const DomainSource& source : sources) {
    Domain domain;
    LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadSource(source, options.words > 0, &domain));
    made->domains.push_back(std::move(domain));
    texts.push_back(Split(text, options));
  }
  LANTHORN_ASSIGN_OR_RETURN(made->tokenizer, MakeTokenizer(texts, options.words));
  WindowOptions window = {options.batch, options.seq, options.stride, options.order, options.batches, options.seed, 0};
  const char* unit = options.words > 0 ? "words" : "characters";
  std::vector<std::shared_ptr<WindowBatches>> vals;
  for (size_t i = 0; i < sources.size(); ++i) {
    Domain& domain = made->domains[i];
    window.domain = static_cast<int64_t>(i);
    window.order = WindowOrder::kFixed;
    LANTHORN_ASSIGN_OR_RETURN(const at::Tensor train, made->tokenizer->Encode(texts[i].train));
    LANTHORN_ASSIGN_OR_RETURN(const at::Tensor val, made->tokenizer->Encode(texts[i].val));
    LANTHORN_ASSIGN_OR_RETURN(const at::Tensor test, made->tokenizer->Encode(texts[i].test));
    domain.train_tokens = train.numel();
    domain.val_tokens = val.numel();
    domain.test_tokens = test.numel();
    domain.train_unknown = UnknownShare(*made->tokenizer, train);
    domain.val_unknown = UnknownShare(*made->tokenizer, val);
    domain.train_ids = train;
    domain.val_ids = val;
    domain.val = std::make_shared<WindowBatches>(val, window);
    domain.test = std::make_shared<WindowBatches>(test, window);
    // A split without a window ends here, with its numbers (guards.md G22).
    for (const auto& [name, tokens] : {std::pair{"train", train.numel()}, {"val", val.numel()}}) {
      if (CountWindows(tokens, window) > 0) continue;
      return DataError(
          absl::StrFormat("domain '%s': '%s': %s: %d %s are too few for a window of %d and its target; use a smaller "
                          "domains.seq, or more text",
                          domain.name, domain.path, name, tokens, unit, options.seq));
    }
    if (options.order == WindowOrder::kEpoch && CountWindows(train.numel(), window) < options.batch) {
      return DataError(
          absl::StrFormat("domain '%s': train: %d windows are less than a batch of %d; use a smaller "
                          "domains.batch or domains.stride, or domains.order=random",
                          domain.name, CountWindows(train.numel(), window), options.batch));
    }
    const int64_t whole = CountWindows(train.numel(), window) / options.batch;
    if (options.order == WindowOrder::kEpoch && options.batches > whole) {
      return ConfigError(
          absl::StrFormat("domain '%s': train: domains.batches is %d, but its windows make %d batches and "
                          "domains.order=epoch takes each once; use at most %d, or domains.order=random",
                          domain.name, options.batches, whole, whole));
    }
    vals.push_back(domain.val);
  }
  made->val = std::make_shared<JoinedBatches>(vals);
  made->phases = options.phases;
  for (size_t i = 0; made->phases.size() < sources.size() && options.phases.empty(); ++i)
    made->phases.push_back(static_cast<int64_t>(i));
  std::vector<std::shared_ptr<WindowBatches>> phases;
  for (size_t i = 0; i < made->phases.size(); ++i) {
    window.domain = made->phases[i];
    window.order = options.order;
    window.seed = options.seed + (static_cast<uint64_t>(i) << 32);  // a domain that comes again has other windows
    phases.push_back(
        std::make_shared<WindowBatches>(made->domains[static_cast<size_t>(window.domain)].train_ids, window));
  }
  made->train = std::make_shared<PhaseBatches>(std::move(phases), options.interleaved);
  return made;
}

}  // namespace lanthorn::data
