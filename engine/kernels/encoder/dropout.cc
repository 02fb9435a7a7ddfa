#include "engine/kernels/encoder/dropout.h"

#include <ATen/Functions.h>
#include <ATen/Parallel.h>

#include "engine/kernels/encoder/dropout_bits.h"

namespace lanthorn::kernels {

int64_t DrawDropoutSeed() { return at::empty({}, c10::kLong).random_().item<int64_t>(); }

at::Tensor DropoutMask(int64_t rows, int64_t columns, double probability, int64_t seed, c10::ScalarType dtype) {
  const at::Tensor mask = at::empty({rows, columns}, c10::kFloat);
  float* values = mask.data_ptr<float>();
  const int32_t limit = DropoutLimit(probability);
  const float scale = DropoutScale(probability);
  at::parallel_for(0, rows, 64, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const DropoutRow key = DropoutRowOf(seed, row);
      for (int64_t c = 0; c < columns; ++c) values[row * columns + c] = DropoutBits(key, c) < limit ? 0 : scale;
    }
  });
  return mask.to(dtype);
}

at::Tensor SeededDropout(const at::Tensor& x, double probability, int64_t seed) {
  TORCH_CHECK(probability >= 0 && probability < 1, "[dropout] the probability must be in [0, 1), got ", probability);
  if (probability == 0) return x;
  if (!x.device().is_cpu()) return at::dropout(x, probability, /*train=*/true);
  const int64_t columns = x.dim() > 0 ? x.size(-1) : 1, rows = columns > 0 ? x.numel() / columns : 0;
  return x * DropoutMask(rows, columns, probability, seed, x.scalar_type()).view(x.sizes());
}

}  // namespace lanthorn::kernels
