#include "engine/kernels/attention/relation_bias.h"

#include <ATen/Functions.h>

#include "engine/kernels/simd/for_threads.h"

namespace lanthorn::kernels {
namespace {
constexpr const char* kTag = "[attention]";
}

void CheckRelations(const RelationBias& bias, int64_t B, int64_t T, const at::TensorOptions& scores) {
  const at::Tensor &relations = bias.relations, &tables = bias.tables;
  TORCH_CHECK(tables.dim() == 2 && tables.size(0) == 2 && tables.size(1) > 0, kTag,
              " the tables of relations must be (2, R), got ", tables.sizes());
  TORCH_CHECK(tables.dtype() == scores.dtype() && tables.device() == scores.device(), kTag, " qkv is ", scores.dtype(),
              " on ", scores.device(), ", the tables of relations are ", tables.dtype(), " on ", tables.device());
  TORCH_CHECK(relations.defined() && relations.scalar_type() == c10::kLong && relations.dim() == 2 &&
                  relations.size(0) == B && relations.size(1) == T,
              kTag, " relations must be int64 (", B, ", ", T, "), got ",
              relations.defined() ? c10::str(relations.scalar_type(), " ", relations.sizes()) : "nothing");
  TORCH_CHECK(relations.device() == scores.device(), kTag, " qkv is on ", scores.device(), ", relations on ",
              relations.device());
  if (!relations.device().is_cpu() || relations.numel() == 0) return;
  const int64_t low = relations.min().item<int64_t>(), high = relations.max().item<int64_t>();
  TORCH_CHECK(low >= 0 && high < tables.size(1), kTag, " relation ", low < 0 ? low : high,
              " is outside of the tables, which have ", tables.size(1), " (from 0, none, to ", tables.size(1) - 1, ")");
}

at::Tensor RelationRows(const RelationBias& bias, int64_t columns) {
  const at::Tensor relations = bias.relations.contiguous(), tables = bias.tables.detach().contiguous();
  const int64_t B = relations.size(0), T = relations.size(1), R = tables.size(1);
  const at::Tensor rows = at::zeros({B, R, columns}, tables.options());
  const float *same = tables.data_ptr<float>(), *cross = same + R;
  ForThreads(B, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t* const of_keys = relations.data_ptr<int64_t>() + b * T;
      for (int64_t r = 0; r < R; ++r) {
        float* const row = rows.data_ptr<float>() + (b * R + r) * columns;
        for (int64_t j = 0; j < T; ++j) {
          const int64_t s = of_keys[j];
          if (r == s) {
            row[j] = r > 0 ? same[r] : 0;
          } else if (r == 0 || s == 0) {
            row[j] = cross[r + s];
          }
        }
      }
    }
  });
  return rows;
}

at::Tensor RelationGradients(const at::Tensor& grad_rows, const at::Tensor& relations) {
  const int64_t B = relations.size(0), T = relations.size(1), R = grad_rows.size(1), columns = grad_rows.size(2);
  const int64_t heads = B > 0 ? grad_rows.size(0) / B : 0;
  const at::Tensor gradients = at::zeros({B, 2, R}, grad_rows.options()), keys = relations.contiguous();
  ForThreads(B, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t* const of_keys = keys.data_ptr<int64_t>() + b * T;
      const at::Tensor sums = at::zeros({2, R}, c10::kDouble);
      double *same = sums.data_ptr<double>(), *cross = same + R;
      for (int64_t unit = b * heads; unit < (b + 1) * heads; ++unit) {
        for (int64_t r = 0; r < R; ++r) {
          const float* const row = grad_rows.data_ptr<float>() + (unit * R + r) * columns;
          for (int64_t j = 0; j < T; ++j) {
            const int64_t s = of_keys[j];
            if (r == s) {
              same[r] += row[j];
            } else if (r == 0 || s == 0) {
              cross[r + s] += row[j];
            }
          }
        }
      }
      same[0] = 0;
      gradients[b].copy_(sums);
    }
  });
  return gradients;
}

at::Tensor RelationScores(const at::Tensor& relations, const at::Tensor& tables) {
  const at::Tensor own =
      at::stack({tables.select(1, 0).gather(1, relations), tables.select(1, 1).gather(1, relations)});
  const at::Tensor r = relations.unsqueeze(2), s = relations.unsqueeze(1);
  const auto where = [](const at::Tensor& which, const at::Tensor& value) {
    return which.to(value.scalar_type()) * value;
  };
  return where(r.eq(s).logical_and(r.gt(0)), own[0].unsqueeze(2)) +
         where(r.gt(0).logical_and(s.eq(0)), own[1].unsqueeze(2)) +
         where(r.eq(0).logical_and(s.gt(0)), own[1].unsqueeze(1));
}

}  // namespace lanthorn::kernels
