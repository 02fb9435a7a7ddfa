#include "engine/data/text/bpe.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/files/files.h"
#include "engine/base/text/utf8.h"
#include "engine/data/text/word_split.h"

namespace lanthorn::data {
namespace {

constexpr char kEnd[] = "<|endoftext|>";

// Bytes that are printable stand for themselves, the others for the characters from U+0100 on.
std::array<char32_t, 256> MakeSymbols() {
  std::array<char32_t, 256> symbols;
  char32_t next = 0x100;
  for (char32_t byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    symbols[byte] = printable ? byte : next++;
  }
  return symbols;
}

uint64_t Pair(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

std::string InSymbols(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += ByteSymbol(static_cast<unsigned char>(byte));
  return text;
}

using Merges = std::vector<std::pair<std::string, std::string>>;

absl::StatusOr<std::vector<std::string>> ReadVocabulary(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.empty())
    return DataError(absl::StrCat("'", path, "': expected an object of tokens and their ids, as GPT-2's vocab.json"));
  std::vector<std::string> tokens(json.size());
  std::vector<bool> seen(json.size());
  for (const auto& [token, id] : json.items()) {
    const bool fits = id.is_number_integer() && id >= 0 && id < static_cast<int64_t>(tokens.size());
    if (!fits || seen[id.get<size_t>()]) {
      return DataError(absl::StrFormat("'%s': token '%s' has the id %s; ids go from 0 to %d, each once", path, token,
                                       id.dump(), tokens.size() - 1));
    }
    seen[id.get<size_t>()] = true;
    tokens[id.get<size_t>()] = token;
  }
  return tokens;
}

absl::StatusOr<Merges> ReadMerges(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  Merges merges;
  int64_t number = 0;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view bare = absl::StripSuffix(line, "\r");
    if (bare.empty() || (number == 1 && absl::StartsWith(bare, "#version"))) continue;
    const std::vector<std::string> parts = absl::StrSplit(bare, ' ');
    if (parts.size() != 2 || parts[0].empty() || parts[1].empty())
      return DataError(
          absl::StrFormat("'%s' line %d: expected 'left right', got '%s'", path, number, std::string(bare)));
    merges.emplace_back(parts[0], parts[1]);
  }
  return merges;
}

// <pad> or [PAD]: a token that stands for no text.
bool IsSpecial(const std::string& token) {
  return (absl::StartsWith(token, "<") && absl::EndsWith(token, ">")) ||
         (absl::StartsWith(token, "[") && absl::EndsWith(token, "]"));
}

// A token of several bytes that no merge makes would never come out of a text.
absl::Status CheckMade(const std::vector<std::string>& tokens, const Merges& merges, const std::string& folder) {
  absl::flat_hash_set<std::string> made;
  for (const auto& [left, right] : merges) made.insert(left + right);
  for (const std::string& token : tokens) {
    if (made.contains(token) || IsSpecial(token)) continue;
    const absl::StatusOr<std::string> bytes = BytesOfSymbols(token);
    if (bytes.ok() && bytes->size() < 2) continue;
    return DataError(absl::StrFormat(
        "'%s': no merge makes the token '%s' of vocab.json; is merges.txt cut short or of another tokenizer?", folder,
        token));
  }
  return absl::OkStatus();
}

// GPT-2's own vocabulary, known by its size and two tokens, has to give what Hugging Face's GPT2Tokenizer documents.
absl::Status CheckPublished(const std::vector<std::string>& tokens, const BpeTokenizer& tokenizer,
                            const std::string& folder) {
  constexpr size_t kHello = 15496, kWorld = 995, kTokens = 50257;
  if (tokens.size() != kTokens || tokens[kHello] != "Hello" || tokens[kWorld] != InSymbols(" world"))
    return absl::OkStatus();
  const std::pair<const char*, std::vector<int64_t>> published[] = {{"Hello world", {15496, 995}},
                                                                    {" Hello world", {18435, 995}}};
  for (const auto& [text, expected] : published) {
    LANTHORN_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, tokenizer.Ids(text));
    if (ids == expected) continue;
    return DataError(
        absl::StrFormat("'%s': vocab.json is GPT-2's, but '%s' becomes %s with these merges, not %s as published; is "
                        "merges.txt its own?",
                        folder, text, absl::StrJoin(ids, " "), absl::StrJoin(expected, " ")));
  }
  return absl::OkStatus();
}

}  // namespace

const std::string& ByteSymbol(unsigned char byte) {
  static const std::array<std::string, 256> symbols = [] {
    std::array<std::string, 256> made;
    const std::array<char32_t, 256> points = MakeSymbols();
    for (size_t i = 0; i < made.size(); ++i) AppendPoint(points[i], &made[i]);
    return made;
  }();
  return symbols[byte];
}

absl::StatusOr<std::string> BytesOfSymbols(const std::string& token) {
  static const absl::flat_hash_map<char32_t, char> bytes = [] {
    absl::flat_hash_map<char32_t, char> made;
    const std::array<char32_t, 256> points = MakeSymbols();
    for (size_t i = 0; i < points.size(); ++i) made[points[i]] = static_cast<char>(i);
    return made;
  }();
  std::string text;
  for (size_t at = 0; at < token.size();) {
    char32_t point = 0;
    const bool read = ReadPoint(token.data(), token.size(), &at, &point) == Utf8::kPoint;
    const auto found = read ? bytes.find(point) : bytes.end();
    if (found == bytes.end())
      return DataError(absl::StrCat("token '", token, "' has a character that stands for no byte"));
    text += found->second;
  }
  return text;
}

absl::StatusOr<BpeTokenizer> BpeTokenizer::Open(const std::string& folder) {
  LANTHORN_ASSIGN_OR_RETURN(const std::vector<std::string> tokens, ReadVocabulary(folder + "/vocab.json"));
  LANTHORN_ASSIGN_OR_RETURN(const Merges merges, ReadMerges(folder + "/merges.txt"));
  LANTHORN_ASSIGN_OR_RETURN(BpeTokenizer made, Make(tokens, merges, "'" + folder + "'"));
  LANTHORN_RETURN_IF_ERROR(CheckMade(tokens, merges, folder));
  LANTHORN_RETURN_IF_ERROR(CheckPublished(tokens, made, folder));
  return made;
}

absl::StatusOr<BpeTokenizer> BpeTokenizer::Make(const std::vector<std::string>& tokens, const Merges& merges,
                                                const std::string& who) {
  BpeTokenizer made;
  made.byte_ids_.assign(256, -1);
  absl::flat_hash_map<std::string, int32_t>& ids = made.token_ids_;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const int32_t id = static_cast<int32_t>(i);
    if (tokens[i] == kEnd) {
      made.end_ = id;
      made.bytes_.emplace_back();
      continue;
    }
    absl::StatusOr<std::string> bytes = BytesOfSymbols(tokens[i]);
    if (!bytes.ok()) return DataError(absl::StrCat(who, ": vocab.json: ", MessageOf(bytes.status())));
    if (bytes->size() == 1) made.byte_ids_[static_cast<unsigned char>((*bytes)[0])] = id;
    made.bytes_.push_back(*std::move(bytes));
    ids[tokens[i]] = id;
  }
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    const auto a = ids.find(left), b = ids.find(right), both = ids.find(left + right);
    if (a == ids.end() || b == ids.end() || both == ids.end()) {
      return DataError(
          absl::StrFormat("%s: merge %d, '%s %s', needs the token '%s', which vocab.json does not have; are both files "
                          "of one tokenizer?",
                          who, rank + 1, left, right,
                          a == ids.end()   ? left
                          : b == ids.end() ? right
                                           : left + right));
    }
    made.merges_.try_emplace(Pair(a->second, b->second), Merge{static_cast<int32_t>(rank), both->second});
  }
  return made;
}

absl::Status BpeTokenizer::EncodePiece(std::string_view piece, std::vector<int32_t>* ids) const {
  ids->clear();
  for (const char byte : piece) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(byte)];
    if (id < 0)
      return DataError(absl::StrFormat("byte 0x%02x has no token in this vocabulary of %d",
                                       static_cast<unsigned char>(byte), bytes_.size()));
    ids->push_back(id);
  }
  for (;;) {
    Merge best = {INT32_MAX, -1};
    size_t place = 0;
    for (size_t i = 0; i + 1 < ids->size(); ++i) {
      const auto found = merges_.find(Pair((*ids)[i], (*ids)[i + 1]));
      if (found == merges_.end() || found->second.rank >= best.rank) continue;
      best = found->second;
      place = i;
    }
    if (best.id < 0) return absl::OkStatus();
    (*ids)[place] = best.id;
    ids->erase(ids->begin() + static_cast<int64_t>(place) + 1);
  }
}

absl::StatusOr<std::vector<int64_t>> BpeTokenizer::Ids(std::string_view text) const {
  std::vector<int64_t> all;
  absl::flat_hash_map<std::string, std::vector<int32_t>> known;  // pieces come again and again
  absl::Status problem;
  LANTHORN_RETURN_IF_ERROR(ForPieces(text, [&](std::string_view piece) {
    auto [at, added] = known.try_emplace(std::string(piece));
    if (added && problem.ok()) problem = EncodePiece(piece, &at->second);
    all.insert(all.end(), at->second.begin(), at->second.end());
  }));
  if (!problem.ok()) return problem;
  return all;
}

absl::StatusOr<at::Tensor> BpeTokenizer::Encode(const std::string& text) const {
  LANTHORN_ASSIGN_OR_RETURN(const std::vector<int64_t> ids, Ids(text));
  return at::tensor(ids, c10::kLong);
}

int64_t BpeTokenizer::IdOfToken(const std::string& token) const {
  const auto found = token_ids_.find(token);
  return found != token_ids_.end() ? found->second : -1;
}

std::vector<int64_t> BpeTokenizer::IdsOf(const std::vector<std::string>& tokens) const {
  std::vector<int64_t> found;
  for (const std::string& token : tokens) {
    const absl::StatusOr<std::vector<int64_t>> ids = Ids(token);
    found.push_back(ids.ok() && ids->size() == 1 ? (*ids)[0] : -1);
  }
  return found;
}

std::string BpeTokenizer::Decode(const at::Tensor& ids) const {
  const at::Tensor flat = ids.to(c10::kCPU, c10::kLong).contiguous();
  std::string text;
  for (int64_t i = 0; i < flat.numel(); ++i) {
    const int64_t id = flat.data_ptr<int64_t>()[i];
    TORCH_CHECK(id >= 0 && id < vocab_size(), "[decode] id ", id, " is outside of the vocabulary of ", vocab_size());
    text += bytes_[static_cast<size_t>(id)];
  }
  return text;
}

absl::Status WritePieceCounts(const std::string& text_path, const std::string& tsv_path) {
  LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadFile(text_path));
  absl::flat_hash_map<std::string, int64_t> counts;
  const absl::Status split = ForPieces(text, [&](std::string_view piece) { ++counts[std::string(piece)]; });
  if (!split.ok()) return DataError(absl::StrCat("'", text_path, "': ", MessageOf(split)));
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::sort(sorted.begin(), sorted.end());  // the same file for the same text
  std::string lines;
  for (const auto& [piece, count] : sorted) absl::StrAppend(&lines, InSymbols(piece), "\t", count, "\n");
  return WriteFileAtomic(tsv_path, lines);
}

// Finds the pair that each piece joins: the one that the merges before it leave of it.
class MergesOfPieces {
 public:
  explicit MergesOfPieces(BpeTokenizer bytes) : made_(std::move(bytes)) {}

  // The parts in the characters of bytes. False for a piece of which the merges leave more than two: none can reach it.
  bool Add(const std::string& bytes, std::pair<std::string, std::string>* parts) {
    std::vector<int32_t> ids;
    if (!made_.EncodePiece(bytes, &ids).ok() || ids.size() != 2) return false;
    const int32_t id = static_cast<int32_t>(made_.bytes_.size()), rank = static_cast<int32_t>(made_.merges_.size());
    made_.merges_[Pair(ids[0], ids[1])] = {rank, id};
    made_.bytes_.push_back(bytes);
    *parts = {InSymbols(made_.bytes_[static_cast<size_t>(ids[0])]),
              InSymbols(made_.bytes_[static_cast<size_t>(ids[1])])};
    return true;
  }

 private:
  BpeTokenizer made_;
};

absl::Status WriteBpeFiles(const std::string& pieces_path, const std::string& folder,
                           const std::vector<std::string>& specials) {
  for (const std::string& special : specials) {
    if (!IsSpecial(special) || special.size() < 3)
      return ConfigError(absl::StrCat("data.train_bpe: specials are <name> or [NAME], got '", special, "'"));
  }
  LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadFile(pieces_path));
  std::vector<std::string> tokens;
  for (int byte = 0; byte < 256; ++byte) tokens.push_back(ByteSymbol(static_cast<unsigned char>(byte)));
  LANTHORN_ASSIGN_OR_RETURN(BpeTokenizer bytes_alone, BpeTokenizer::Make(tokens, {}, "'" + pieces_path + "'"));
  MergesOfPieces pieces(std::move(bytes_alone));
  std::string lines = "#version: 0.2\n";
  for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const std::string piece(line.substr(0, line.find('\t')));
    const absl::StatusOr<std::string> bytes = BytesOfSymbols(piece);
    std::pair<std::string, std::string> parts;
    if (!bytes.ok() || bytes->size() < 2 || !pieces.Add(*bytes, &parts)) continue;  // also <unk>, and single bytes
    tokens.push_back(piece);
    absl::StrAppend(&lines, parts.first, " ", parts.second, "\n");
  }
  if (specials.empty()) tokens.push_back(kEnd);
  tokens.insert(tokens.begin(), specials.begin(), specials.end());
  nlohmann::ordered_json vocabulary;
  for (size_t i = 0; i < tokens.size(); ++i) vocabulary[tokens[i]] = i;
  LANTHORN_RETURN_IF_ERROR(EnsureDirectory(folder));
  LANTHORN_RETURN_IF_ERROR(WriteFileAtomic(folder + "/vocab.json", vocabulary.dump() + "\n"));
  return WriteFileAtomic(folder + "/merges.txt", lines);
}

}  // namespace lanthorn::data
