#include "engine/data/text.h"

#include <ATen/Functions.h>

#include <cmath>

#include "absl/strings/str_format.h"
#include "engine/base/files/files.h"
#include "engine/data/epoch_order.h"

namespace lanthorn::data {
namespace {

int64_t RowCount(int64_t length, const TextOptions& o) {
  if (o.layout == Layout::kOverlap) return std::max<int64_t>(0, length / o.seq * o.seq - o.seq);
  if (length <= o.seq + 1) return 0;
  return (length - o.seq - 1 + o.stride - 1) / o.stride;
}

absl::Status Validate(const TextOptions& o) {
  if (o.batch < 1 || o.seq < 1 || o.stride < 1) {
    return ConfigError(
        absl::StrFormat("data: batch, seq and stride must be at least 1, got %d, %d and %d", o.batch, o.seq, o.stride));
  }
  if (!(o.split > 0 && o.split <= 1))
    return ConfigError(absl::StrFormat("data: split must be in (0, 1], got %g", o.split));
  if (o.chars < 0) return ConfigError(absl::StrFormat("data: chars must not be negative, got %d", o.chars));
  if (o.shuffle && o.layout == Layout::kStreams) return ConfigError("data: layout 'streams' cannot be shuffled");
  return absl::OkStatus();
}

}  // namespace

int64_t CountBatches(int64_t length, const TextOptions& o) {
  if (o.layout == Layout::kStreams) return std::max<int64_t>(0, length / (o.batch * o.seq) - 1);
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
  if (options_.shuffle)
    order_ = EpochOrder(RowCount(ids_.size(), options_), static_cast<uint64_t>(options_.seed), epoch);
}

int64_t TextBatches::rows() const {
  return options_.layout == Layout::kStreams ? options_.batch
                                             : std::min(options_.batch, RowCount(ids_.size(), options_));
}

int64_t TextBatches::samples() const {
  if (options_.layout == Layout::kStreams || options_.drop_last) return count_ * options_.batch;
  return RowCount(ids_.size(), options_);
}

int64_t TextBatches::left_out() const {
  return options_.layout == Layout::kStreams ? 0 : RowCount(ids_.size(), options_) - samples();
}

Batch TextBatches::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count_, "[batches] batch ", index, " of ", count_);
  const int64_t B = options_.batch, S = options_.seq, rows = std::min(B, samples() - index * B);
  const at::TensorOptions type(c10::kLong);
  Batch batch = {at::empty({rows, S}, type), at::empty({rows, S}, type)};
  const int64_t width = (count_ + 1) * S;  // of a stream
  for (int64_t b = 0; b < rows; ++b) {
    int64_t start = b * width + index * S;
    if (options_.layout != Layout::kStreams) {
      const int64_t row = order_.empty() ? index * B + b : order_[static_cast<size_t>(index * B + b)];
      start = row * (options_.layout == Layout::kOverlap ? 1 : options_.stride);
    }
    ids_.Copy(start, S, batch.x.data_ptr<int64_t>() + b * S);
    ids_.Copy(start + 1, S, batch.y.data_ptr<int64_t>() + b * S);
  }
  return batch;
}

absl::StatusOr<std::shared_ptr<Text>> Text::Open(const std::string& name, const std::string& path,
                                                 const TextOptions& options) {
  LANTHORN_RETURN_IF_ERROR(Validate(options));
  auto text = std::make_shared<Text>();
  auto tokens = TokenFile::Open(path, options.tokens);
  if (!tokens.ok()) {
    const std::string message = MessageOf(tokens.status());
    return Error(ExitCodeOf(tokens.status()),
                 absl::StrCat("corpus '", name,
                              "': ", message.find(path) == std::string::npos ? "'" + path + "': " : "", message));
  }
  text->tokens = *std::move(tokens);
  text->name = name;
  text->path = path;
  text->bytes = text->tokens->text_bytes();
  text->sha256 = text->tokens->sha256();
  text->options = options;
  TokenIds ids = text->tokens->ids();
  if (ids.size() == 0) return DataError("corpus '" + name + "': '" + path + "' is empty");
  std::vector<std::string> characters = text->tokens->tokens();
  if (options.chars > 0) {  // the vocabulary is that of the characters used
    if (options.chars > ids.size()) {
      return DataError(
          absl::StrFormat("corpus '%s': chars=%d, but it has only %d characters", name, options.chars, ids.size()));
    }
    ids = ids.Slice(0, options.chars);
    // Numbers are in the order of appearance, so those that occur come first.
    const std::vector<int64_t> counts = ids.Counts(static_cast<int64_t>(characters.size()));
    characters.resize(static_cast<size_t>(std::find(counts.begin(), counts.end(), 0) - counts.begin()));
  }
  text->tokenizer = CharTokenizer::FromCharacters(characters);
  text->ids = ids.Under(std::make_shared<const std::vector<int64_t>>(text->tokenizer.IdsOf(characters)));
  const int64_t length = text->ids.size();
  const int64_t train = static_cast<int64_t>(std::floor(options.split * static_cast<double>(length)));
  TextOptions val_options = options;
  val_options.shuffle = false;
  text->train = std::make_shared<TextBatches>(text->ids.Slice(0, train), options);
  text->val = std::make_shared<TextBatches>(text->ids.Slice(train, length - train), val_options);
  // A split without a batch ends here, with its numbers (guard G22).
  const auto too_short = [&](const char* split, int64_t have) {
    const std::string rows =
        options.layout == Layout::kStreams
            ? "fewer than two windows of each stream"
            : absl::StrFormat("%d row%s (stride %d)", RowCount(have, options), RowCount(have, options) == 1 ? "" : "s",
                              options.layout == Layout::kOverlap ? 1 : options.stride);
    return DataError(
        absl::StrFormat("corpus '%s': %s: %d characters make %s, fewer than one batch of %d x %d; use a smaller "
                        "data.batch, data.seq or "
                        "data.stride%s",
                        name, split, have, rows, options.batch, options.seq + 1,
                        std::string(split) == "val" ? ", or eval.off=true" : ""));
  };
  // Whoever asks for batches of 64 is not given one of 3; a val split may be as short as a row.
  if (text->train->count() == 0 || text->train->rows() < options.batch) return too_short("train", train);
  if (options.val_required && text->val->count() == 0) return too_short("val", length - train);
  return text;
}

}  // namespace lanthorn::data
