#include "engine/data/domains.h"

#include <ATen/Functions.h>

#include "absl/strings/str_format.h"

namespace lanthorn::data {
namespace {

absl::Status Validate(const std::vector<DomainSource>& sources, const DomainOptions& o) {
  if (sources.empty()) return ConfigError("data.domains: no domain is given, expected at least one file or corpus");
  if (o.batch < 1 || o.seq < 1 || o.stride < 1) {
    return ConfigError(absl::StrFormat("data.domains: batch, seq and stride must be at least 1, got %d, %d and %d",
                                       o.batch, o.seq, o.stride));
  }
  if (!(o.train > 0 && o.val >= 0 && o.train + o.val <= 1)) {
    return ConfigError(
        absl::StrFormat("data.domains: the share of train must be positive, that of val not negative, and both at most "
                        "1 together, got %g and %g",
                        o.train, o.val));
  }
  if (o.words < 0 || o.batches < 0) return ConfigError("data.domains: words and batches must not be negative");
  if (o.passes < 1) return ConfigError(absl::StrFormat("data.domains: passes must be at least 1, got %d", o.passes));
  for (const DomainSource& source : sources) {
    if (source.from >= 0 && source.to > source.from) continue;
    return ConfigError(
        absl::StrFormat("data.domains: domain '%s': from=%g, to=%g: the part must begin at 0 or later "
                        "and end behind its beginning",
                        source.name, source.from, source.to));
  }
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

// The parts of a text, in the text's own numbers.
struct Splits {
  TokenIds train, val, test;
};

// Shares are of bytes; a word or a character that begins before a border belongs to the part before it.
absl::StatusOr<Splits> Split(const TokenFile& tokens, int64_t bytes, const DomainOptions& o) {
  const auto place = [&](double share) -> absl::StatusOr<int64_t> {
    LANTHORN_ASSIGN_OR_RETURN(const int64_t cut,
                              tokens.CutAt(static_cast<int64_t>(share * static_cast<double>(bytes))));
    return tokens.TokensBefore(std::min(cut, bytes));
  };
  LANTHORN_ASSIGN_OR_RETURN(const int64_t train, place(o.train));
  LANTHORN_ASSIGN_OR_RETURN(const int64_t train_and_val, place(o.train + o.val));
  LANTHORN_ASSIGN_OR_RETURN(const int64_t all, tokens.TokensBefore(bytes));
  const int64_t val_end = std::max(train, train_and_val);
  const TokenIds& ids = tokens.ids();
  return Splits{ids.Slice(0, train), ids.Slice(train, val_end - train), ids.Slice(val_end, all - val_end)};
}

// The token at which a part begins or ends: a share of all, or a number.
absl::StatusOr<int64_t> PlaceIn(int64_t tokens, double at, const DomainSource& source, bool words) {
  if (at <= 1) return static_cast<int64_t>(at * static_cast<double>(tokens));
  if (at <= static_cast<double>(tokens)) return static_cast<int64_t>(at);
  return DataError(absl::StrFormat("domain '%s': a part of it up to %.0f was asked for, but '%s' has %d %s",
                                   source.name, at, source.path, tokens, words ? "words" : "characters"));
}

// A part of a text has its shares counted in tokens.
absl::StatusOr<Splits> SplitPart(const DomainSource& source, const DomainOptions& o, Domain* domain) {
  const TokenIds& ids = domain->tokens->ids();
  LANTHORN_ASSIGN_OR_RETURN(domain->from, PlaceIn(ids.size(), source.from, source, o.words > 0));
  LANTHORN_ASSIGN_OR_RETURN(domain->to, PlaceIn(ids.size(), source.to, source, o.words > 0));
  const int64_t all = domain->to - domain->from;
  if (all <= 0) {
    return DataError(
        absl::StrFormat("domain '%s': from=%g, to=%g are tokens %d to %d of %d: nothing lies between them; numbers up "
                        "to 1 are shares of the text, larger ones count its tokens",
                        source.name, source.from, source.to, domain->from, domain->to, ids.size()));
  }
  const auto place = [all](double share) {
    return std::min(all, static_cast<int64_t>(share * static_cast<double>(all)));
  };
  const int64_t train = place(o.train), val = std::max(train, place(o.train + o.val));
  return Splits{ids.Slice(domain->from, train), ids.Slice(domain->from + train, val - train),
                ids.Slice(domain->from + val, all - val)};
}

// The share of `ids` that the vocabulary does not have; `table` is what the stored numbers stand for.
double UnknownShare(const Tokenizer& tokenizer, const std::vector<int64_t>& table, const TokenIds& ids) {
  if (tokenizer.unknown() < 0 || ids.size() == 0) return 0;
  const std::vector<int64_t> counts = ids.Counts(static_cast<int64_t>(table.size()));
  int64_t unknown = 0;
  for (size_t number = 0; number < counts.size(); ++number) {
    if (table[number] == tokenizer.unknown()) unknown += counts[number];
  }
  return static_cast<double>(unknown) / static_cast<double>(ids.size());
}

absl::StatusOr<Splits> ReadSource(const DomainSource& source, const DomainOptions& options, Domain* domain) {
  TokenFileOptions how = options.tokens;
  how.kind = options.words > 0 ? TokenKind::kWords : TokenKind::kCharacters;
  how.expected_sha256 = source.sha256;
  LANTHORN_ASSIGN_OR_RETURN(domain->tokens, TokenFile::Open(source.path, how));
  domain->name = source.name;
  domain->path = source.path;
  domain->sha256 = domain->tokens->sha256();
  domain->bytes = domain->tokens->text_bytes();
  if (source.from != 0 || source.to != 1) return SplitPart(source, options, domain);
  int64_t bytes = domain->bytes;
  if (source.bytes > bytes) {
    return DataError(absl::StrFormat("domain '%s': bytes=%d, but '%s' has only %d", source.name, source.bytes,
                                     source.path, domain->bytes));
  }
  if (source.bytes > 0) {
    LANTHORN_ASSIGN_OR_RETURN(bytes, domain->tokens->CutAt(source.bytes));
  }
  LANTHORN_ASSIGN_OR_RETURN(domain->to, domain->tokens->TokensBefore(bytes));
  return Split(*domain->tokens, bytes, options);
}

// Words: of the train splits alone. Characters: all that occur.
absl::StatusOr<std::shared_ptr<Tokenizer>> MakeTokenizer(const std::vector<Domain>& domains,
                                                         const std::vector<Splits>& texts, int64_t words) {
  absl::flat_hash_map<std::string, int64_t> counts;
  for (size_t i = 0; i < texts.size(); ++i) {
    const std::vector<std::string>& tokens = domains[i].tokens->tokens();
    std::vector<const TokenIds*> parts = {&texts[i].train};
    if (words == 0) parts.insert(parts.end(), {&texts[i].val, &texts[i].test});
    for (const TokenIds* part : parts) {
      const std::vector<int64_t> found = part->Counts(static_cast<int64_t>(tokens.size()));
      for (size_t number = 0; number < tokens.size(); ++number) {
        if (found[number] > 0) counts[tokens[number]] += found[number];
      }
    }
  }
  if (words > 0) {
    LANTHORN_ASSIGN_OR_RETURN(WordTokenizer made, WordTokenizer::FromCounts(counts, words));
    return std::make_shared<WordTokenizer>(std::move(made));
  }
  std::vector<std::string> characters;
  for (const auto& [character, count] : counts) characters.push_back(character);
  return std::make_shared<CharTokenizer>(CharTokenizer::FromCharacters(characters));
}

// A split without a window, and an epoch without a batch, end here, with their numbers (guard G22).
absl::Status CheckWindows(const Domain& domain, const DomainOptions& options, const WindowOptions& window) {
  for (const auto& [name, tokens] : {std::pair{"train", domain.train_tokens}, {"val", domain.val_tokens}}) {
    if (CountWindows(tokens, window) > 0 || (options.val == 0 && std::string_view(name) == "val")) continue;
    if (options.order == WindowOrder::kStreams) {
      return DataError(
          absl::StrFormat("domain '%s': '%s': %s: %d %s are too few for %d streams of two windows of %d; use a smaller "
                          "domains.batch or domains.seq, or more text",
                          domain.name, domain.path, name, tokens, options.words > 0 ? "words" : "characters",
                          options.batch, options.seq));
    }
    return DataError(absl::StrFormat(
        "domain '%s': '%s': %s: %d %s are too few for a window of %d and its target; use a smaller "
        "domains.seq, or more text",
        domain.name, domain.path, name, tokens, options.words > 0 ? "words" : "characters", options.seq));
  }
  if (options.order != WindowOrder::kEpoch && options.order != WindowOrder::kStreams) return absl::OkStatus();
  const int64_t windows = CountWindows(domain.train_tokens, window);
  if (windows < options.batch) {
    return DataError(
        absl::StrFormat("domain '%s': train: %d windows are fewer than a batch of %d; use a smaller "
                        "domains.batch or domains.stride, or domains.order=random",
                        domain.name, windows, options.batch));
  }
  const int64_t whole = (windows + (options.drop_last ? 0 : options.batch - 1)) / options.batch;
  if (options.batches <= whole) return absl::OkStatus();
  return ConfigError(absl::StrFormat(
      "domain '%s': train: domains.batches is %d, but its windows make %d batches and domains.order=%s takes each "
      "once; use at most %d, or domains.order=random",
      domain.name, options.batches, whole, options.order == WindowOrder::kEpoch ? "epoch" : "streams", whole));
}

// The parts of a text under the vocabulary, and its val and test batches.
void NumberTokens(const Tokenizer& tokenizer, const Splits& parts, const WindowOptions& window, Domain* domain) {
  const auto table = std::make_shared<const std::vector<int64_t>>(tokenizer.IdsOf(domain->tokens->tokens()));
  const TokenIds test = parts.test.Under(table);
  domain->train_ids = parts.train.Under(table);
  domain->val_ids = parts.val.Under(table);
  domain->train_tokens = domain->train_ids.size();
  domain->val_tokens = domain->val_ids.size();
  domain->test_tokens = test.size();
  domain->train_unknown = UnknownShare(tokenizer, *table, domain->train_ids);
  domain->val_unknown = UnknownShare(tokenizer, *table, domain->val_ids);
  domain->val = std::make_shared<WindowBatches>(domain->val_ids, window);
  domain->test = std::make_shared<WindowBatches>(test, window);
}

absl::StatusOr<std::vector<Splits>> ReadSources(const std::vector<DomainSource>& sources, const DomainOptions& options,
                                                std::vector<Domain>* domains) {
  std::vector<Splits> texts;
  for (const DomainSource& source : sources) {
    Domain domain;
    auto parts = ReadSource(source, options, &domain);
    if (!parts.ok()) {
      const std::string message = MessageOf(parts.status());
      return Error(ExitCodeOf(parts.status()),
                   message.starts_with("domain '") ? message : absl::StrCat("domain '", source.name, "': ", message));
    }
    domains->push_back(std::move(domain));
    texts.push_back(*std::move(parts));
  }
  return texts;
}

}  // namespace

absl::StatusOr<std::shared_ptr<Domains>> Domains::Open(const std::vector<DomainSource>& sources,
                                                       const DomainOptions& options) {
  LANTHORN_RETURN_IF_ERROR(Validate(sources, options));
  auto made = std::make_shared<Domains>();
  LANTHORN_ASSIGN_OR_RETURN(const std::vector<Splits> texts, ReadSources(sources, options, &made->domains));
  LANTHORN_ASSIGN_OR_RETURN(made->tokenizer, MakeTokenizer(made->domains, texts, options.words));
  WindowOptions window = {.batch = options.batch,
                          .seq = options.seq,
                          .stride = options.stride,
                          .order = WindowOrder::kFixed,
                          .batches = options.batches,
                          .drop_last = options.drop_last,
                          .seed = options.seed};
  if (options.order == WindowOrder::kStreams) {
    window.order = options.order;
    window.batches = 0;  // of val and test, all
  }
  std::vector<std::shared_ptr<Batches>> vals;
  for (size_t i = 0; i < sources.size(); ++i) {
    window.domain = static_cast<int64_t>(i);
    NumberTokens(*made->tokenizer, texts[i], window, &made->domains[i]);
    LANTHORN_RETURN_IF_ERROR(CheckWindows(made->domains[i], options, window));
    vals.push_back(made->domains[i].val);
  }
  made->val = std::make_shared<JoinedBatches>(vals);
  made->phases = options.phases;
  for (size_t i = 0; made->phases.size() < sources.size() && options.phases.empty(); ++i)
    made->phases.push_back(static_cast<int64_t>(i));
  window.order = options.order;
  window.batches = options.batches;
  std::vector<Phase> phases;
  for (const int64_t domain : made->phases) {
    Domain& source = made->domains[static_cast<size_t>(domain)];
    Phase phase{domain, {}};
    for (int64_t pass = 0; pass < options.passes; ++pass) {
      window.domain = domain;
      // A domain that comes again has other windows.
      window.seed = options.seed + ((static_cast<int64_t>(phases.size()) * options.passes + pass) << 32);
      phase.passes.push_back(std::make_shared<WindowBatches>(source.train_ids, window));
    }
    if (source.train == nullptr) source.train = phase.passes.front();
    phases.push_back(std::move(phase));
  }
  window.seed = options.seed;
  for (size_t i = 0; i < made->domains.size(); ++i) {
    Domain& source = made->domains[i];
    window.domain = static_cast<int64_t>(i);
    if (source.train == nullptr) source.train = std::make_shared<WindowBatches>(source.train_ids, window);
  }
  made->train = std::make_shared<PhaseBatches>(std::move(phases), options.interleaved);
  return made;
}

}  // namespace lanthorn::data
