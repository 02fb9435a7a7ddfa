// Rows of tokens of different lengths, some of which are masked and to be told again (Devlin et al. 2019), with the
// number of a relation for each token: a piece of text has 0, the facts behind it their relations (GraphMER).
#pragma once

#include <string>
#include <vector>

#include "engine/base/options/option_row.h"
#include "engine/data/batches.h"

namespace lanthorn::data {

struct MaskedOptions {
  int64_t batch = 8;
  bool drop_last = false;
  bool shuffle = true;  // a new order of rows each epoch, from `seed`
  bool bucket = true;   // rows of about one length share a batch, so that little is padding
  bool redraw = true;   // new masks each epoch; else those of the first stay
  double text_share = 0.15, fact_share = 0.2;
  int64_t text_least = 1, fact_least = 8;  // of a row; all that may be masked where there are fewer
  int64_t pad = 0, mask = 3;
  std::vector<int64_t> special = {};  // ids that are never masked
  int64_t seed = 0;
};

template <typename Visit>
void Fields(Visit&& visit, MaskedOptions& masked) {
  visit({"batch", "rows of a batch"}, masked.batch);
  visit({"drop_last", "leave out rows that do not fill a last batch"}, masked.drop_last);
  visit({"shuffle", "a new order of the rows each epoch"}, masked.shuffle);
  visit({"bucket", "rows of about one length share a batch"}, masked.bucket);
  visit({"redraw", "new masks each epoch; else those of the first stay"}, masked.redraw);
  visit({"text_share", "share of the tokens without a relation that is masked"}, masked.text_share);
  visit({"fact_share", "share of the tokens with a relation that is masked"}, masked.fact_share);
  visit({"text_least", "of them at least, in each row"}, masked.text_least);
  visit({"fact_least", "of them at least, in each row"}, masked.fact_least);
  visit({"pad", "id of what stands behind a row"}, masked.pad);
  visit({"mask", "id of a masked token"}, masked.mask);
  visit({"special", "ids that are never masked"}, masked.special);
  visit({"seed", "of order and masks"}, masked.seed);
}

// A batch: x (B, 2, T) int64, the ids with their masks and the relations, T the longest of its rows, padded with `pad`
// and 0; y (B, T) the masked tokens' ids, kMaskedTarget elsewhere. What a row's mask is follows from seed, epoch and
// row, and not from the batch that it is in.
class MaskedRows final : public Batches {
 public:
  // ids and relations (L) int64, offsets (rows + 1) int64: where each row begins, and the end. Data or config errors.
  static absl::StatusOr<std::shared_ptr<MaskedRows>> Make(const at::Tensor& ids, const at::Tensor& relations,
                                                          const at::Tensor& offsets, const MaskedOptions& options);

  int64_t count() const override { return (samples() + options_.batch - 1) / options_.batch; }
  int64_t rows() const override { return options_.batch; }
  // The mean of the first epoch's: another epoch masks other tokens.
  int64_t targets() const override { return std::max<int64_t>(1, epoch_targets_ / std::max<int64_t>(count(), 1)); }
  int64_t samples() const override { return lengths() - left_out(); }
  int64_t left_out() const override { return options_.drop_last ? lengths() % options_.batch : 0; }
  int64_t epoch_targets() const override { return epoch_targets_; }
  Batch Get(int64_t index) const override;
  void SetEpoch(int64_t epoch) override;

 private:
  explicit MaskedRows(MaskedOptions options) : options_(std::move(options)) {}
  int64_t lengths() const { return static_cast<int64_t>(offsets_.size()) - 1; }
  int64_t Length(int64_t row) const {
    return offsets_[static_cast<size_t>(row) + 1] - offsets_[static_cast<size_t>(row)];
  }
  // The masked places of a row in this epoch, in order.
  std::vector<int64_t> Masked(int64_t row) const;
  bool Maskable(int64_t token) const;

  MaskedOptions options_;
  std::vector<int64_t> ids_, relations_, offsets_, order_;
  int64_t epoch_ = 0, epoch_targets_ = 0;
};

}  // namespace lanthorn::data
