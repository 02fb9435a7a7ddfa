#include "engine/data/text.h"

#include <ATen/Functions.h>

#include <cmath>
#include <optional>

#include "absl/strings/str_format.h"
#include "engine/base/files/files.h"
#include "engine/base/files/sha256.h"
#include "engine/base/random_stream.h"
#include "engine/data/epoch_order.h"
#include "engine/data/text/bpe.h"

namespace lanthorn::data {
namespace {

int64_t RowCount(int64_t length, const TextOptions& o) {
  if (o.layout == Layout::kOverlap) return std::max<int64_t>(0, length / o.seq * o.seq - o.seq);
  if (length <= o.seq + 1) return 0;
  if (o.layout == Layout::kRandom) return std::max<int64_t>(1, (length - o.seq - 1) / (o.batch * o.seq)) * o.batch;
  return (length - o.seq - 1 + o.stride - 1) / o.stride;
}

absl::Status Validate(const TextOptions& o) {
  if (o.batch < 1 || o.seq < 1 || o.stride < 1) {
    return ConfigError(
        absl::StrFormat("data: batch, seq and stride must be at least 1, got %d, %d and %d", o.batch, o.seq, o.stride));
  }
  if (!(o.split > 0 && o.split <= 1))
    return ConfigError(absl::StrFormat("data: split must be in (0, 1], got %g", o.split));
  if (o.batches < 0) return ConfigError(absl::StrFormat("data: batches must not be negative, got %d", o.batches));
  if (o.batches > 0 && o.layout != Layout::kRandom)
    return ConfigError("data: batches is for layout=random; the other layouts have as many as the text gives");
  if (o.chars < 0) return ConfigError(absl::StrFormat("data: chars must not be negative, got %d", o.chars));
  if (o.shuffle && o.layout == Layout::kStreams) return ConfigError("data: layout 'streams' cannot be shuffled");
  if (o.shuffle && o.layout == Layout::kRandom)
    return ConfigError("data: layout 'random' draws anew each epoch as it is; leave out shuffle");
  return absl::OkStatus();
}

}  // namespace

int64_t CountBatches(int64_t length, const TextOptions& o) {
  if (o.layout == Layout::kStreams) return std::max<int64_t>(0, length / (o.batch * o.seq) - 1);
  if (o.batches > 0) return RowCount(length, o) > 0 ? o.batches : 0;
  return (RowCount(length, o) + (o.drop_last ? 0 : o.batch - 1)) / o.batch;
}

std::string HashBatch(const Batch& batch) {
  std::string bytes;
  for (const at::Tensor& tensor : {batch.x, batch.y}) {
    const at::Tensor flat = tensor.to(c10::kCPU).contiguous();
    bytes.append(static_cast<const char*>(flat.data_ptr()), flat.nbytes());
  }
  return "sha256:" + Sha256Hex(bytes);
}

TextBatches::TextBatches(TokenIds ids, TextOptions options)
    : ids_(std::move(ids)), options_(options), count_(CountBatches(ids_.size(), options)) {
  SetEpoch(0);
}

void TextBatches::SetEpoch(int64_t epoch) {
  epoch_ = epoch;
  if (options_.shuffle)
    order_ = EpochOrder(RowCount(ids_.size(), options_), static_cast<uint64_t>(options_.seed), epoch);
}

int64_t TextBatches::rows() const {
  return options_.layout == Layout::kStreams ? options_.batch
                                             : std::min(options_.batch, RowCount(ids_.size(), options_));
}

int64_t TextBatches::samples() const {
  if (options_.layout == Layout::kStreams || options_.layout == Layout::kRandom || options_.drop_last)
    return count_ * options_.batch;
  return RowCount(ids_.size(), options_);
}

int64_t TextBatches::left_out() const {
  const bool all = options_.layout == Layout::kStreams || options_.layout == Layout::kRandom;
  return all ? 0 : RowCount(ids_.size(), options_) - samples();
}

Batch TextBatches::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count_, "[batches] batch ", index, " of ", count_);
  const int64_t B = options_.batch, S = options_.seq, rows = std::min(B, samples() - index * B);
  const at::TensorOptions type(c10::kLong);
  Batch batch = {at::empty({rows, S}, type), at::empty({rows, S}, type)};
  const int64_t width = (count_ + 1) * S;  // of a stream
  std::optional<std::mt19937_64> draw;
  if (options_.layout == Layout::kRandom) {
    const auto key = [](int64_t part) { return static_cast<uint64_t>(part); };
    draw = RandomStream({key(options_.seed), key(epoch_), key(index)});
  }
  for (int64_t b = 0; b < rows; ++b) {
    int64_t start = b * width + index * S;
    if (draw) {
      start = static_cast<int64_t>((*draw)() % static_cast<uint64_t>(ids_.size() - S - 1));
    } else if (options_.layout != Layout::kStreams) {
      const int64_t row = order_.empty() ? index * B + b : order_[static_cast<size_t>(index * B + b)];
      start = row * (options_.layout == Layout::kOverlap ? 1 : options_.stride);
    }
    ids_.Copy(start, S, batch.x.data_ptr<int64_t>() + b * S);
    ids_.Copy(start + 1, S, batch.y.data_ptr<int64_t>() + b * S);
  }
  return batch;
}

namespace {

// Bytes of the character at a place of UTF-8.
size_t BytesAt(const std::string& text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) ++end;
  return end - at;
}

int64_t CountCharacters(const std::string& text) {
  return std::count_if(text.begin(), text.end(),
                       [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; });
}

// The first `most` characters of a text; all of it for 0.
std::string FirstCharacters(std::string text, int64_t most) {
  if (most == 0) return text;
  size_t at = 0;
  for (int64_t i = 0; i < most && at < text.size(); ++i) at += BytesAt(text, at);
  text.resize(at);
  return text;
}

absl::Status OpenCharacters(const TextOptions& options, const std::string& path, Text* text) {
  LANTHORN_ASSIGN_OR_RETURN(text->tokens, TokenFile::Open(path, options.tokens));
  text->bytes = text->tokens->text_bytes();
  text->sha256 = text->tokens->sha256();
  TokenIds ids = text->tokens->ids();
  if (ids.size() == 0) return DataError("is empty");
  std::vector<std::string> characters = text->tokens->tokens();
  if (options.chars > 0) {  // the vocabulary is that of the characters used
    if (options.chars > ids.size())
      return DataError(absl::StrFormat("chars=%d, but it has only %d characters", options.chars, ids.size()));
    ids = ids.Slice(0, options.chars);
    // Numbers are in the order of appearance, so those that occur come first.
    const std::vector<int64_t> counts = ids.Counts(static_cast<int64_t>(characters.size()));
    characters.resize(static_cast<size_t>(std::find(counts.begin(), counts.end(), 0) - counts.begin()));
  }
  const auto tokenizer =
      std::make_shared<const CharTokenizer>(CharTokenizer::FromCharacters(characters, options.bos_eos));
  text->ids = ids.Under(std::make_shared<const std::vector<int64_t>>(tokenizer->IdsOf(characters)));
  text->tokenizer = tokenizer;
  return absl::OkStatus();
}

absl::Status OpenBpe(const TextOptions& options, const std::string& path, Text* text) {
  if (options.bos_eos) return ConfigError("data: bos_eos is for characters; a BPE has an <|endoftext|> of its own");
  LANTHORN_ASSIGN_OR_RETURN(const BpeTokenizer tokenizer, BpeTokenizer::Open(options.bpe));
  LANTHORN_ASSIGN_OR_RETURN(std::string content, ReadFile(path));
  text->bytes = static_cast<int64_t>(content.size());
  text->sha256 = Sha256Hex(content);
  if (!options.tokens.expected_sha256.empty() && text->sha256 != options.tokens.expected_sha256)
    return DataError(absl::StrFormat("its sha256 is %s, expected %s", text->sha256, options.tokens.expected_sha256));
  content = FirstCharacters(std::move(content), options.chars);
  if (content.empty()) return DataError("is empty");
  LANTHORN_ASSIGN_OR_RETURN(const at::Tensor ids, tokenizer.Encode(content));
  text->ids = TokenIds::FromTensor(ids);
  text->characters = CountCharacters(content);
  if (options.chars > text->characters)
    return DataError(absl::StrFormat("chars=%d, but it has only %d characters", options.chars, text->characters));
  text->tokenizer = std::make_shared<const BpeTokenizer>(tokenizer);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::shared_ptr<Text>> Text::Open(const std::string& name, const std::string& path,
                                                 const TextOptions& options) {
  LANTHORN_RETURN_IF_ERROR(Validate(options));
  auto text = std::make_shared<Text>();
  text->name = name;
  text->path = path;
  text->options = options;
  const absl::Status opened =
      options.bpe.empty() ? OpenCharacters(options, path, text.get()) : OpenBpe(options, path, text.get());
  if (!opened.ok()) {
    const std::string message = MessageOf(opened);
    const bool names_it = message.find(path) != std::string::npos;
    const bool of_bpe = !options.bpe.empty() && message.find(options.bpe) != std::string::npos;
    return Error(ExitCodeOf(opened),
                 absl::StrCat("corpus '", name, "': ", names_it || of_bpe ? "" : "'" + path + "': ", message));
  }
  const int64_t length = text->ids.size();
  const int64_t train = static_cast<int64_t>(std::floor(options.split * static_cast<double>(length)));
  TextOptions val_options = options;
  val_options.shuffle = false;
  if (options.layout == Layout::kRandom) {
    val_options.layout = Layout::kRows;
    val_options.batches = 0;
    val_options.stride = options.seq;
  }
  text->train = std::make_shared<TextBatches>(text->ids.Slice(0, train), options);
  text->val = std::make_shared<TextBatches>(text->ids.Slice(train, length - train), val_options);
  if (text->characters > 0)
    text->val_characters = CountCharacters(text->tokenizer->Decode(text->ids.Slice(train, length - train).ToTensor()));
  // A split without a batch ends here, with its numbers (guard G22).
  const auto too_short = [&](const char* split, int64_t have, const TextOptions& of) {
    const std::string rows =
        of.layout == Layout::kStreams
            ? "fewer than two windows of each stream"
            : absl::StrFormat("%d row%s (stride %d)", RowCount(have, of), RowCount(have, of) == 1 ? "" : "s",
                              of.layout == Layout::kOverlap ? 1 : of.stride);
    return DataError(
        absl::StrFormat("corpus '%s': %s: %d %s make %s, fewer than one batch of %d x %d; use a smaller "
                        "data.batch, data.seq or data.stride%s",
                        name, split, have, options.bpe.empty() ? "characters" : "tokens", rows, options.batch,
                        options.seq + 1, std::string(split) == "val" ? ", or eval.off=true" : ""));
  };
  // Whoever asks for batches of 64 is not given one of 3; a val split may be as short as a row.
  if (text->train->count() == 0 || text->train->rows() < options.batch) return too_short("train", train, options);
  if (options.val_required && text->val->count() == 0) return too_short("val", length - train, val_options);
  return text;
}

}  // namespace lanthorn::data
