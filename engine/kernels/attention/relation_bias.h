// Attention whose scores know how two positions are related (GraphMER): each position carries the number of a relation,
// 0 for none, and with r = relation of query i, s = relation of key j,
//   score[i, j] += same[r] if r = s > 0;  cross[r] if s = 0 < r;  cross[s] if r = 0 < s;  0 otherwise.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::kernels {

struct RelationBias {
  at::Tensor relations;  // (B, T) int64, from 0 to R - 1
  at::Tensor tables;     // (2, R): same and cross, for all heads; column 0 is not used. Undefined: no bias

  bool defined() const { return tables.defined(); }
};

// c10::Error with the tag [attention] for wrong shapes and, on the CPU, for a relation that the tables do not have.
void CheckRelations(const RelationBias& bias, int64_t B, int64_t T, const at::TensorOptions& scores);

// What a query of each relation adds to the scores of all keys: (B, R, columns), zeros behind the T-th.
at::Tensor RelationRows(const RelationBias& bias, int64_t columns);

// From the gradients of those rows, by head (B heads, R, columns), to those of the tables by sample (B, 2, R).
at::Tensor RelationGradients(const at::Tensor& grad_rows, const at::Tensor& relations);

// The bias of all pairs, (B, T, T), from plain operators, of tables by sample (B, 2, R).
at::Tensor RelationScores(const at::Tensor& relations, const at::Tensor& tables);

}  // namespace lanthorn::kernels
