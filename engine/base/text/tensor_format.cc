// Follows torch/_tensor_str.py of PyTorch 1.13 step by step; names in quotes below are its functions. Complex tensors
// have two formatters, for the real and the imaginary parts.
#include "engine/base/text/tensor_format.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/imag.h>
#include <ATen/ops/real.h>
#include <torch/csrc/autograd/function.h>

#include <cmath>
#include <cstdio>

#include "absl/strings/str_join.h"

namespace lanthorn {
namespace {

constexpr int64_t kThreshold = 1000;  // elements above which a tensor is summarised
constexpr int64_t kEdgeItems = 3;
constexpr int64_t kLineWidth = 80;
constexpr char kPrefix[] = "tensor(";
constexpr int64_t kIndent = sizeof(kPrefix) - 1;

// The elements shown, as doubles or as integers. Booleans are integers with `is_bool`.
struct Elements {
  bool floating = false;
  bool is_bool = false;
  std::vector<double> reals;
  std::vector<int64_t> integers;
};

Elements Collect(const at::Tensor& t) {
  Elements elements;
  elements.floating = at::isFloatingType(t.scalar_type());
  elements.is_bool = t.scalar_type() == at::kBool;
  const size_t count = static_cast<size_t>(t.numel());
  if (elements.floating) {
    const at::Tensor flat = t.to(at::kDouble).contiguous();
    elements.reals.assign(flat.data_ptr<double>(), flat.data_ptr<double>() + count);
  } else {
    const at::Tensor flat = t.to(at::kLong).contiguous();
    elements.integers.assign(flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + count);
  }
  return elements;
}

std::string Print(const char* format, double value) {
  if (std::isnan(value)) return "nan";  // printf shows the sign of a NaN, Python does not
  char text[512];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

// Decides once per tensor how all its elements are written ("_Formatter").
class Formatter {
 public:
  explicit Formatter(Elements elements) : elements_(std::move(elements)) {
    if (elements_.floating) {
      ChooseMode();
    } else {
      for (size_t i = 0; i < elements_.integers.size(); ++i) Widen(Integer(i));
    }
  }

  int64_t width() const { return width_; }

  std::string Format(size_t i) const {
    std::string text;
    if (!elements_.floating) {
      text = Integer(i);
    } else {
      const double value = elements_.reals[i];
      text = Print(format_, value);
      if (int_mode_ && !scientific_ && std::isfinite(value)) text += '.';
    }
    const int64_t missing = width_ - static_cast<int64_t>(text.size());
    return missing > 0 ? std::string(missing, ' ') + text : text;
  }

 private:
  std::string Integer(size_t i) const {
    if (elements_.is_bool) return elements_.integers[i] != 0 ? "True" : "False";
    return std::to_string(elements_.integers[i]);
  }
  void Widen(const std::string& text) { width_ = std::max(width_, static_cast<int64_t>(text.size())); }

  void ChooseMode() {
    double smallest = INFINITY, largest = 0;
    for (double value : elements_.reals) {
      if (!std::isfinite(value) || value == 0) continue;
      smallest = std::min(smallest, std::fabs(value));
      largest = std::max(largest, std::fabs(value));
      if (value != std::ceil(value)) int_mode_ = false;
    }
    if (largest == 0) return;  // nothing but zeros, inf and nan: "0.", "inf"
    scientific_ = largest / smallest > 1000 || largest > 1e8 || (!int_mode_ && smallest < 1e-4);
    format_ = scientific_ ? "%.4e" : int_mode_ ? "%.0f" : "%.4f";
    for (double value : elements_.reals) {
      if (!std::isfinite(value) || value == 0) continue;
      Widen(Print(format_, value) + (int_mode_ && !scientific_ ? "." : ""));
    }
  }

  Elements elements_;
  bool int_mode_ = true;  // every number is whole: "1." instead of "1.0000"
  bool scientific_ = false;
  const char* format_ = "%.0f";
  int64_t width_ = 1;
};

// What to print: the elements of the edges in C order, and for each dim whether its middle is left out.
struct Shown {
  std::vector<int64_t> sizes;  // after leaving out
  std::vector<bool> shortened;
  const Formatter* real;
  const Formatter* imaginary;  // null unless complex
};

std::string Element(const Shown& shown, size_t i) {
  const std::string real = shown.real->Format(i);
  if (shown.imaginary == nullptr) return real;
  std::string imaginary = shown.imaginary->Format(i) + "j";
  imaginary.erase(0, imaginary.find_first_not_of(' '));
  return real + (imaginary[0] == '-' ? "" : "+") + imaginary;
}

// One row of the last dim, wrapped at the line width ("_vector_str"). `first` is the index of its first element.
std::string Row(const Shown& shown, size_t first, int64_t indent) {
  int64_t element_width = shown.real->width() + 2;
  if (shown.imaginary != nullptr) element_width += shown.imaginary->width() + 1;
  const size_t per_line = std::max<int64_t>(1, (kLineWidth - indent) / element_width);

  std::vector<std::string> items;
  for (int64_t i = 0; i < shown.sizes.back(); ++i) {
    if (shown.shortened.back() && i == kEdgeItems) items.push_back(" ...");
    items.push_back(Element(shown, first + i));
  }
  std::string text = "[";
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += i % per_line == 0 ? ",\n" + std::string(indent + 1, ' ') : ", ";
    text += items[i];
  }
  return text + "]";
}

// The block of dim `dim` that begins at element `first` ("_tensor_str_with_formatter").
std::string Block(const Shown& shown, size_t dim, size_t first, int64_t indent) {
  if (shown.sizes.empty()) return Element(shown, 0);
  if (dim + 1 == shown.sizes.size()) return Row(shown, first, indent);
  size_t stride = 1;
  for (size_t d = dim + 1; d < shown.sizes.size(); ++d) stride *= shown.sizes[d];
  std::vector<std::string> parts;
  for (int64_t i = 0; i < shown.sizes[dim]; ++i) {
    if (shown.shortened[dim] && i == kEdgeItems) parts.push_back("...");
    parts.push_back(Block(shown, dim + 1, first + i * stride, indent + 1));
  }
  const std::string separator = "," + std::string(shown.sizes.size() - dim - 1, '\n') + std::string(indent + 1, ' ');
  return "[" + absl::StrJoin(parts, separator) + "]";
}

// The elements of a dense CPU or device tensor ("_tensor_str").
std::string Contents(at::Tensor t) {
  if (t.numel() == 0) return "[]";
  Shown shown{{}, std::vector<bool>(t.dim(), false), nullptr, nullptr};
  if (t.numel() > kThreshold) {
    for (int64_t dim = 0; dim < t.dim(); ++dim) {
      const int64_t size = t.size(dim);
      if (size <= 2 * kEdgeItems) continue;
      t = at::cat({t.narrow(dim, 0, kEdgeItems), t.narrow(dim, size - kEdgeItems, kEdgeItems)}, dim);
      shown.shortened[dim] = true;
    }
  }
  shown.sizes = t.sizes().vec();
  t = t.cpu();
  if (!t.is_complex()) {
    const Formatter formatter(Collect(t));
    shown.real = &formatter;
    return Block(shown, 0, 0, kIndent);
  }
  if (t.scalar_type() == at::kComplexHalf) t = t.to(at::kComplexFloat);
  t = t.resolve_conj();
  const Formatter real(Collect(at::real(t))), imaginary(Collect(at::imag(t)));
  shown.real = &real;
  shown.imaginary = &imaginary;
  return Block(shown, 0, 0, kIndent);
}

std::string Shape(const at::Tensor& t) {
  return absl::StrCat("(", absl::StrJoin(t.sizes(), ", "), t.dim() == 1 ? ",)" : ")");
}

// "AddBackward0"; own functions carry namespaces and a template around their name.
std::string GradientName(const at::Tensor& t) {
  std::string name = t.grad_fn()->name();
  while (!name.empty() && name.back() == '>') name.pop_back();
  const size_t colon = name.rfind("::");
  return colon == std::string::npos ? name : name.substr(colon + 2);
}

std::vector<std::string> Suffixes(const at::Tensor& t) {
  std::vector<std::string> suffixes;
  const auto dtype = t.scalar_type();
  if (!t.is_cpu()) suffixes.push_back("device='" + t.device().str() + "'");
  const bool empty = t.numel() == 0 || t.is_meta();
  if (t.is_meta() || (empty && t.dim() != 1)) suffixes.push_back("size=" + Shape(t));
  const bool implied =
      dtype == at::kFloat || (!empty && (dtype == at::kLong || dtype == at::kBool || dtype == at::kComplexFloat));
  if (!implied) suffixes.push_back("dtype=torch." + DtypeName(dtype));
  if (t.layout() != at::kStrided)
    suffixes.push_back(absl::StrCat("layout=", t.is_sparse() ? "torch.sparse_coo" : "torch.sparse"));
  if (t.grad_fn() != nullptr) {
    suffixes.push_back("grad_fn=<" + GradientName(t) + ">");
  } else if (t.requires_grad()) {
    suffixes.push_back("requires_grad=True");
  }
  return suffixes;
}

}  // namespace

std::string FormatTensor(const at::Tensor& t) {
  if (!t.defined()) return "tensor(undefined)";
  const at::NoGradGuard no_grad;
  std::string text = kPrefix;
  if (t.is_meta()) {
    text += "...";
  } else {
    at::Tensor dense = t.detach();
    if (dense.layout() != at::kStrided) dense = dense.to_dense();
    if (dense.is_quantized()) dense = dense.dequantize();
    text += Contents(dense);
  }

  // "_add_suffixes": its length of the last line counts two characters too many where that is the only line, one
  // otherwise, which decides the wrapping.
  const size_t newline = text.rfind('\n');
  int64_t line = static_cast<int64_t>(newline == std::string::npos ? text.size() + 2 : text.size() - newline + 1);
  for (const std::string& suffix : Suffixes(t)) {
    const int64_t length = static_cast<int64_t>(suffix.size());
    if (line + length + 2 > kLineWidth) {
      text += ",\n" + std::string(kIndent, ' ') + suffix;
      line = kIndent + length;
    } else {
      text += ", " + suffix;
      line += length + 2;
    }
  }
  return text + ")";
}

std::string FormatTensorSummaryLine(const at::Tensor& t) {
  if (!t.defined()) return "[undefined]";
  return absl::StrCat("[", DtypeName(t.scalar_type()), " ", Shape(t), " ", t.device().str(), "]");
}

std::string DtypeName(c10::ScalarType dtype) {
  switch (dtype) {
    case at::kByte:
      return "uint8";
    case at::kChar:
      return "int8";
    case at::kShort:
      return "int16";
    case at::kInt:
      return "int32";
    case at::kLong:
      return "int64";
    case at::kHalf:
      return "float16";
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kComplexHalf:
      return "complex32";
    case at::kComplexFloat:
      return "complex64";
    case at::kComplexDouble:
      return "complex128";
    case at::kBool:
      return "bool";
    case at::kBFloat16:
      return "bfloat16";
    case at::kQInt8:
      return "qint8";
    case at::kQUInt8:
      return "quint8";
    case at::kQInt32:
      return "qint32";
    default:
      return c10::toString(dtype);  // types of a newer LibTorch
  }
}

}  // namespace lanthorn
