#include "engine/train/loss/losses.h"

#include <ATen/Functions.h>

#include <algorithm>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "engine/base/text/nearest.h"
#include "engine/base/text/tensor_format.h"
#include "engine/kernels/loss/linear_cross_entropy.h"
#include "engine/train/trainer.h"

namespace lanthorn::train {
namespace {

std::string Shape(const at::Tensor& tensor) { return absl::StrCat("(", absl::StrJoin(tensor.sizes(), ", "), ")"); }

// Sizes of the output without the dimension of its classes.
std::vector<int64_t> Without(const at::Tensor& output, int64_t dim) {
  std::vector<int64_t> sizes = output.sizes().vec();
  sizes.erase(sizes.begin() + dim);
  return sizes;
}

using OfNumbers = at::Tensor (*)(const at::Tensor& output, const at::Tensor& y);

struct Row {
  const char* name;
  OfNumbers of_numbers;  // null for losses of class numbers
};
const std::vector<Row>& Rows() {
  static const std::vector<Row> rows = {
      {"cross_entropy", nullptr},
      {"nll", nullptr},
      {"mse", [](const at::Tensor& output, const at::Tensor& y) { return at::mse_loss(output, y); }},
      {"l1", [](const at::Tensor& output, const at::Tensor& y) { return at::l1_loss(output, y); }},
      {"huber", [](const at::Tensor& output, const at::Tensor& y) { return at::huber_loss(output, y); }},
      {"smooth_l1", [](const at::Tensor& output, const at::Tensor& y) { return at::smooth_l1_loss(output, y); }},
      {"bce_with_logits",
       [](const at::Tensor& output, const at::Tensor& y) { return at::binary_cross_entropy_with_logits(output, y); }},
  };
  return rows;
}

}  // namespace

const std::vector<std::string>& LossNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const Row& row : Rows()) all.push_back(row.name);
    return all;
  }();
  return names;
}

absl::Status CheckLossName(const std::string& name) {
  if (absl::c_linear_search(LossNames(), name)) return absl::OkStatus();
  return ConfigError(absl::StrCat("train: loss '", name, "' is not known", DidYouMean(name, LossNames()),
                                  "; losses by name are ", absl::StrJoin(LossNames(), ", "),
                                  ", any other is a function (model, x, y)"));
}

absl::StatusOr<Classes> AsClasses(const std::string& who, const at::Tensor& output, const at::Tensor& y) {
  if (!c10::isIntegralType(y.scalar_type(), /*includeBool=*/false)) {
    return DataError(
        absl::StrCat(who, " needs class numbers as targets (int64), got ", DtypeName(y.scalar_type()), " ", Shape(y)));
  }
  const at::Tensor numbers = y.to(c10::kLong).reshape({-1});
  const int64_t dims = output.dim();
  if (dims >= 1 && (y.sizes() == at::IntArrayRef(Without(output, dims - 1)) ||
                    (y.dim() == 1 && y.numel() * output.size(-1) == output.numel()))) {
    return Classes{output.reshape({-1, output.size(-1)}), numbers};
  }
  if (dims >= 3 && y.sizes() == at::IntArrayRef(Without(output, 1))) {
    return Classes{output.movedim(1, -1).reshape({-1, output.size(1)}), numbers};
  }
  return DataError(absl::StrCat(who, ": the model gives ", Shape(output), ", the targets are ", Shape(y),
                                "; targets have the output's shape without its last dimension, the classes",
                                dims >= 3 ? " (or without dimension 1)" : ""));
}

absl::Status CheckNumbers(const std::string& who, const at::Tensor& output, const at::Tensor& y) {
  if (!y.is_floating_point()) {
    return DataError(absl::StrCat(who, " needs numbers as targets, got ", DtypeName(y.scalar_type()), " ", Shape(y),
                                  "; use y:to('float32')"));
  }
  if (output.sizes() == y.sizes()) return absl::OkStatus();
  const bool column = output.numel() == y.numel();
  return DataError(absl::StrCat(who, ": the model gives ", Shape(output), ", the targets are ", Shape(y),
                                "; both must have one shape",
                                column && output.dim() == y.dim() + 1 ? ", such as with y:unsqueeze(-1)" : ""));
}

absl::StatusOr<Loss> LossOfOutput(const std::string& name, const at::Tensor& output, const at::Tensor& y) {
  LANTHORN_RETURN_IF_ERROR(CheckLossName(name));
  const auto row = std::find_if(Rows().begin(), Rows().end(), [&](const Row& r) { return name == r.name; });
  if (row->of_numbers != nullptr) {
    LANTHORN_RETURN_IF_ERROR(CheckNumbers("loss " + name, output, y));
    return Loss{row->of_numbers(output, y.to(output.scalar_type())), y.numel()};
  }
  LANTHORN_ASSIGN_OR_RETURN(const Classes classes, AsClasses("loss " + name, output, y));
  return Loss{name == "nll" ? at::nll_loss(classes.scores, classes.numbers)
                            : at::cross_entropy_loss(classes.scores, classes.numbers),
              CountTargets(y)};
}

absl::StatusOr<LossFn> NamedLoss(const std::string& name, std::shared_ptr<nn::Module> model) {
  LANTHORN_RETURN_IF_ERROR(CheckLossName(name));
  return LossFn([name, model = std::move(model)](const data::Batch& batch) -> absl::StatusOr<Loss> {
    const auto head = name == "cross_entropy" && !model->scripted() ? model->LinearHead() : std::nullopt;
    if (!head) return LossOfOutput(name, model->Forward(batch.x, nullptr), batch.y);
    const at::Tensor features = model->Features(batch.x, nullptr);
    // The classes are the last dimension of what the head would give: the targets are as of LossOfOutput.
    const std::vector<int64_t> rows = Without(features, features.dim() - 1);
    const bool numbers = c10::isIntegralType(batch.y.scalar_type(), /*includeBool=*/false);
    const bool fits = batch.y.sizes() == at::IntArrayRef(rows) ||
                      (batch.y.dim() == 1 && batch.y.numel() == c10::multiply_integers(rows));
    if (!numbers || !fits) {
      const at::Tensor output = at::linear(features, head->weight, head->bias);
      return LossOfOutput(name, output, batch.y);
    }
    const at::Tensor y = batch.y.to(c10::kLong).view(rows);
    return Loss{kernels::LinearCrossEntropy(features, head->weight, head->bias, y), CountTargets(batch.y)};
  });
}

}  // namespace lanthorn::train
