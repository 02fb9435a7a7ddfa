#include "engine/data/text.h"

#include <ATen/Functions.h>

#include <cmath>
#include <numeric>
#include <random>

#include "absl/strings/str_format.h"
#include "engine/base/files.h"

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
  return RowCount(length, o) / o.batch;
}

std::string HashBatch(const Batch& batch) {
  std::string bytes;
  for (const at::Tensor& tensor : {batch.x, batch.y}) {
    const at::Tensor flat = tensor.to(c10::kCPU).contiguous();
    bytes.append(static_cast<const char*>(flat.data_ptr()), flat.nbytes());
  }
  return "sha256:" + Sha256Hex(bytes);
}

TextBatches::TextBatches(at::Tensor ids, TextOptions options)
    : ids_(std::move(ids)), options_(options), count_(CountBatches(ids_.numel(), options)) {
  SetEpoch(0);
}

void TextBatches::SetEpoch(int64_t epoch) {
  if (!options_.shuffle) return;
  order_.resize(static_cast<size_t>(RowCount(ids_.numel(), options_)));
  std::iota(order_.begin(), order_.end(), int64_t{0});
  const uint64_t key = static_cast<uint64_t>(options_.seed), number = static_cast<uint64_t>(epoch);
  std::seed_seq seed{key, key >> 32, number, number >> 32};  // it keeps 32 bits of each
  std::mt19937_64 generator(seed);
  for (size_t i = order_.size(); i > 1; --i)
    std::swap(order_[i - 1], order_[generator() % i]);  // the same on every library
}

Batch TextBatches::Get(int64_t index) const {
  TORCH_CHECK(index >= 0 && index < count_, "[batches] batch ", index, " of ", count_);
  const int64_t B = options_.batch, S = options_.seq;
  if (options_.layout == Layout::kStreams) {
    const int64_t width = (count_ + 1) * S;
    const at::Tensor streams = ids_.narrow(0, 0, B * width).view({B, width});
    return {streams.narrow(1, index * S, S).contiguous(), streams.narrow(1, index * S + 1, S).contiguous()};
  }
  Batch batch = {at::empty({B, S}, ids_.options()), at::empty({B, S}, ids_.options())};
  const int64_t step = options_.layout == Layout::kOverlap ? 1 : options_.stride;
  const int64_t* from = ids_.data_ptr<int64_t>();
  for (int64_t b = 0; b < B; ++b) {
    const int64_t row = order_.empty() ? index * B + b : order_[static_cast<size_t>(index * B + b)];
    const int64_t* start = from + row * step;
    std::copy_n(start, S, batch.x.data_ptr<int64_t>() + b * S);
    std::copy_n(start + 1, S, batch.y.data_ptr<int64_t>() + b * S);
  }
  return batch;
}

absl::StatusOr<std::shared_ptr<Text>> Text::Open(const std::string& name, const std::string& path,
                                                 const std::string& expected_sha256, const TextOptions& options) {
  LANTHORN_RETURN_IF_ERROR(Validate(options));
  LANTHORN_ASSIGN_OR_RETURN(std::string contents, ReadFile(path));
  auto text = std::make_shared<Text>();
  text->name = name;
  text->path = path;
  text->bytes = static_cast<int64_t>(contents.size());
  text->sha256 = Sha256Hex(contents);
  text->options = options;
  if (!expected_sha256.empty() && text->sha256 != expected_sha256) {
    return DataError(absl::StrFormat(
        "corpus '%s': '%s' is not the file that was pinned: sha256 %s, expected %s; remove or replace it", name, path,
        text->sha256, expected_sha256));
  }
  if (contents.empty()) return DataError("corpus '" + name + "': '" + path + "' is empty");
  const auto with_path = [&](const absl::Status& status) {
    return DataError("corpus '" + name + "': '" + path + "': " + MessageOf(status));
  };
  if (options.chars > 0) {  // the vocabulary is that of the characters used
    auto all = CharTokenizer::FromText(contents);
    if (!all.ok()) return with_path(all.status());
    const at::Tensor ids = all->Encode(contents).value();
    if (options.chars > ids.numel()) {
      return DataError(
          absl::StrFormat("corpus '%s': chars=%d, but it has only %d characters", name, options.chars, ids.numel()));
    }
    contents = all->Decode(ids.narrow(0, 0, options.chars));
  }
  auto tokenizer = CharTokenizer::FromText(contents);
  if (!tokenizer.ok()) return with_path(tokenizer.status());
  text->tokenizer = *std::move(tokenizer);
  text->ids = text->tokenizer.Encode(contents).value();
  const int64_t length = text->ids.numel();
  const int64_t train = static_cast<int64_t>(std::floor(options.split * static_cast<double>(length)));
  TextOptions val_options = options;
  val_options.shuffle = false;
  text->train = std::make_shared<TextBatches>(text->ids.narrow(0, 0, train), options);
  text->val = std::make_shared<TextBatches>(text->ids.narrow(0, train, length - train), val_options);
  // A split without a batch ends here, with its numbers (guards.md G22).
  const auto too_short = [&](const char* split, int64_t have) {
    const std::string rows = options.layout == Layout::kStreams
                                 ? "less than two windows of each stream"
                                 : absl::StrFormat("%d rows (stride %d)", RowCount(have, options),
                                                   options.layout == Layout::kOverlap ? 1 : options.stride);
    return DataError(absl::StrFormat(
        "corpus '%s': %s: %d characters make %s, less than one batch of %d x %d; use a smaller data.batch, data.seq or "
        "data.stride%s",
        name, split, have, rows, options.batch, options.seq + 1,
        std::string(split) == "val" ? ", or eval.off=true" : ""));
  };
  if (text->train->count() == 0) return too_short("train", train);
  if (options.val_required && text->val->count() == 0) return too_short("val", length - train);
  return text;
}

}  // namespace lanthorn::data
