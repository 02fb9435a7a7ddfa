// The samples are cut into lanes, a number that depends on the sizes alone. A lane walks its rows in blocks of a few
// hundred and adds up its own gradients of weight and bias; the lanes' sums are joined in order. Threads take lanes.
// For a large weight, whose copies would not fit, there is one lane, and its products run on all threads instead.
#include "engine/kernels/loss/linear_cross_entropy_kernel.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include <cmath>

#include "engine/kernels/gemm/gemm.h"
#include "engine/kernels/loss/linear_cross_entropy.h"

namespace lanthorn::kernels {
namespace {

constexpr int64_t kLanes = 16;
constexpr int64_t kBlockRows = 256;
constexpr int64_t kBlockElements = int64_t{8} << 20;  // of a block's logits: 32 MB

using Buffer = std::unique_ptr<float[]>;
Buffer Make(int64_t size) { return Buffer(new float[static_cast<size_t>(std::max<int64_t>(size, 1))]); }

class Sweep {
 public:
  Sweep(const HeadInput& in, const HeadWanted& wanted, HeadResult* result)
      : in_(in),
        wanted_(wanted),
        result_(result),
        // Without squares a row need not know its sample.
        N_(wanted.squares ? in.x.size(0) : in.x.size(0) * in.x.size(1)),
        K_(wanted.squares ? in.x.size(1) : 1),
        C_(in.x.size(2)),
        V_(in.weight.size(0)),
        // ||E^T X||^2 = <E E^T, X X^T> is cheaper than the product itself for few positions (kernels/README.md).
        gram_(wanted.squares && static_cast<double>(K_ * K_) * static_cast<double>(V_ + C_) <
                                    6.0 * static_cast<double>(V_) * static_cast<double>(C_)),
        block_rows_(std::clamp<int64_t>(kBlockElements / V_, 32, kBlockRows)),
        losses_(static_cast<size_t>(N_ * K_), 0.0) {
    if (gram_) block_rows_ = std::max(block_rows_, K_);
  }

  void Run() {
    const int64_t lanes = V_ * C_ <= kSplitWeights ? std::min(kLanes, N_) : std::min<int64_t>(N_, 1);
    std::vector<Lane> all(static_cast<size_t>(lanes));
    for (int64_t i = 0; i < lanes; ++i) {
      Lane& lane = all[static_cast<size_t>(i)];
      lane.first = N_ * i / lanes;
      lane.last = N_ * (i + 1) / lanes;
      if (wanted_.weight) lane.weight = i == 0 ? result_->weight : at::zeros_like(result_->weight);
      if (wanted_.bias) lane.bias = i == 0 ? result_->bias : at::zeros_like(result_->bias);
    }
    if (lanes == 1) {
      RunLane(all[0]);  // outside of a parallel region, so that its products and rows use all threads
    } else {
      at::parallel_for(0, lanes, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) RunLane(all[static_cast<size_t>(i)]);
      });
    }
    for (size_t i = 1; i < all.size(); ++i) {
      if (wanted_.weight) result_->weight.add_(all[i].weight);
      if (wanted_.bias) result_->bias.add_(all[i].bias);
    }
    for (double loss : losses_) result_->loss_sum += loss;
  }

 private:
  struct Lane {
    int64_t first = 0, last = 0;  // samples
    at::Tensor weight, bias;      // sums over these
  };
  // What a lane works in: logits and their gradient of one block, and one sample's gradients.
  struct Space {
    Buffer logits, tile, bias_tile, gram_e, gram_x;
  };

  void RunLane(const Lane& lane) {
    Space space;
    space.logits = Make(std::min(block_rows_, std::max((lane.last - lane.first) * K_, K_)) * V_);
    const bool tiles = wanted_.squares && !gram_;
    space.tile = Make(tiles && wanted_.weight ? V_ * C_ : 0);
    space.bias_tile = Make(V_);
    space.gram_e = Make(gram_ ? K_ * K_ : 0);
    space.gram_x = Make(gram_ ? K_ * K_ : 0);
    for (int64_t sample = lane.first; sample < lane.last;) {
      if (K_ <= block_rows_) {
        const int64_t count = std::min(block_rows_ / K_, lane.last - sample);
        Logits(sample * K_, count * K_, space);
        for (int64_t i = 0; wanted_.squares && i < count; ++i)
          AddSample(lane, sample + i, (sample + i) * K_, K_, space.logits.get() + i * K_ * V_, true, true, space);
        if (!wanted_.squares || gram_) AddBlock(lane, sample * K_, count * K_, space);
        sample += count;
        continue;
      }
      for (int64_t row = 0; row < K_; row += block_rows_) {  // with squares: a sample of several blocks
        const int64_t rows = std::min(block_rows_, K_ - row);
        Logits(sample * K_ + row, rows, space);
        AddSample(lane, sample, sample * K_ + row, rows, space.logits.get(), row == 0, row + rows == K_, space);
      }
      ++sample;
    }
  }

  bool gradient() const { return wanted_.x || wanted_.weight || wanted_.bias; }
  const float* X(int64_t row) const { return in_.x.data_ptr<float>() + row * C_; }

  // Losses of rows [row, row + rows), the gradient of their logits in space.logits, and that of their x.
  void Logits(int64_t row, int64_t rows, const Space& space) {
    float* logits = space.logits.get();
    const float *weight = in_.weight.data_ptr<float>(),
                *bias = in_.bias.defined() ? in_.bias.data_ptr<float>() : nullptr;
    const int64_t* targets = in_.target.data_ptr<int64_t>() + row;
    Gemm({X(row), C_}, {weight, C_, kTransposed}, {rows, V_, C_}, 0.0f, logits, V_);
    const int64_t grain = std::max<int64_t>(1, 32768 / V_);
    at::parallel_for(0, rows, grain, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        float* z = logits + r * V_;
        if (targets[r] == in_.ignore_index) {
          if (gradient()) std::fill(z, z + V_, 0.0f);
          continue;
        }
        const RowLoss own = CrossEntropyRow(V_, z, bias, targets[r], static_cast<float>(in_.scale), gradient());
        losses_[static_cast<size_t>(row + r)] = own.loss;
        if (wanted_.squares) result_->log_sums.data_ptr<float>()[row + r] = static_cast<float>(own.log_sum);
      }
    });
    if (wanted_.x) Gemm({logits, V_}, {weight, C_}, {rows, C_, V_}, 0.0f, result_->x.data_ptr<float>() + row * C_, C_);
  }

  static void AddRows(int64_t rows, int64_t V, const float* e, float* sum) {
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t v = 0; v < V; ++v) sum[v] += e[r * V + v];
    }
  }

  // A block's gradients of weight and bias into the lane's sums; with Gram products the bias comes with its squares.
  void AddBlock(const Lane& lane, int64_t row, int64_t rows, const Space& space) {
    const float* e = space.logits.get();
    if (wanted_.weight)
      Gemm({e, V_, kTransposed}, {X(row), C_}, {V_, C_, rows}, 1.0f, lane.weight.data_ptr<float>(), C_);
    if (wanted_.bias && !wanted_.squares) AddRows(rows, V_, e, lane.bias.data_ptr<float>());
  }

  // Rows of one sample, `e` being the gradient of their logits: its squares at its end. With Gram products the weight's
  // sum is left to AddBlock.
  void AddSample(const Lane& lane, int64_t sample, int64_t row, int64_t rows, const float* e, bool begins, bool ends,
                 const Space& space) {
    if (wanted_.bias) {
      if (begins) std::fill(space.bias_tile.get(), space.bias_tile.get() + V_, 0.0f);
      AddRows(rows, V_, e, space.bias_tile.get());
      if (ends)
        result_->sq_bias.data_ptr<double>()[sample] =
            SquareAndAccumulate(V_, space.bias_tile.get(), lane.bias.data_ptr<float>());
    }
    if (!wanted_.weight) return;
    double* square = result_->sq_weight.data_ptr<double>() + sample;
    if (gram_) {
      *square = GramSquare(row, rows, e, space);
      return;
    }
    Gemm({e, V_, kTransposed}, {X(row), C_}, {V_, C_, rows}, begins ? 0.0f : 1.0f, space.tile.get(), C_);
    if (ends) *square = SquareAndAccumulate(V_ * C_, space.tile.get(), lane.weight.data_ptr<float>());
  }

  double GramSquare(int64_t row, int64_t rows, const float* e, const Space& space) const {
    Gemm({e, V_}, {e, V_, kTransposed}, {rows, rows, V_}, 0.0f, space.gram_e.get(), rows);
    Gemm({X(row), C_}, {X(row), C_, kTransposed}, {rows, rows, C_}, 0.0f, space.gram_x.get(), rows);
    double sum = 0;
    for (int64_t i = 0; i < rows * rows; ++i)
      sum += static_cast<double>(space.gram_e[static_cast<size_t>(i)]) *
             static_cast<double>(space.gram_x[static_cast<size_t>(i)]);
    return sum < 0 ? 0 : sum;  // NaN stays NaN
  }

  const HeadInput& in_;
  const HeadWanted& wanted_;
  HeadResult* result_;
  int64_t N_, K_, C_, V_;
  bool gram_;
  int64_t block_rows_;
  std::vector<double> losses_;  // by row
};

}  // namespace

HeadResult RunHead(const HeadInput& in, const HeadWanted& wanted) {
  HeadResult result;
  if (wanted.x) result.x = at::empty_like(in.x);
  if (wanted.weight) result.weight = at::zeros_like(in.weight);
  if (wanted.bias) result.bias = at::zeros({in.weight.size(0)}, in.weight.options());
  if (wanted.squares) {
    result.sq_weight = at::zeros({in.x.size(0)}, c10::kDouble);
    result.sq_bias = at::zeros({in.x.size(0)}, c10::kDouble);
    result.log_sums = at::full(in.target.sizes(), HUGE_VAL, in.x.options());
  }
  if (in.target.numel() > 0) Sweep(in, wanted, &result).Run();
  return result;
}

}  // namespace lanthorn::kernels
