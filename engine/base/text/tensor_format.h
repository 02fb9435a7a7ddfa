// Tensors as text, as PyTorch 1.13 prints them: four digits, aligned columns, "..." above 1,000 elements, lines of 80.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace lanthorn {

// What Python's repr(t) gives with the default print options: "tensor([[1., 2.],\n        [3., 4.]])". Reads only the
// elements it shows. Sparse tensors are shown dense and quantised ones as their values, with their layout and dtype
// behind; an undefined tensor is "tensor(undefined)".
std::string FormatTensor(const at::Tensor& t);

// The prompt's last line: "[float32 (2, 3) cpu]".
std::string FormatTensorSummaryLine(const at::Tensor& t);

// PyTorch's name of a dtype: "float32", "int64", "bool".
std::string DtypeName(c10::ScalarType dtype);

}  // namespace lanthorn
