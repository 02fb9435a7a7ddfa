// Ids of rows of a table, checked where they enter.
#pragma once

#include <ATen/core/Tensor.h>

namespace lanthorn::nn {

// Raises when ids are not integers, or, on the CPU, when one is not in [0, count): the message names the first such id
// and its place. `layer` stands in front. On other devices the operator itself has to find out.
void CheckIds(const at::Tensor& ids, int64_t count, const char* layer);

}  // namespace lanthorn::nn
