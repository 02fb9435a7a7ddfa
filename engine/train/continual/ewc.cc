#include "engine/train/continual/ewc.h"

#include <ATen/Functions.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "engine/base/chunks.h"

namespace lanthorn::train {
namespace {

using nlohmann::json;

// What the elements of one tensor add: the penalty at F and d, and its derivative by d.
struct Quadratic {
  double factor;
  double Value(double fisher, double d) const { return factor * fisher * d * d; }
  double Slope(double fisher, double d) const { return 2 * factor * fisher * d; }
};

struct Release {
  double factor, least, release, cap;  // factor on F; elements whose F is below `least` are let go
  double Value(double fisher, double d) const {
    return fisher >= least ? factor * fisher * d * d : -release * std::min(d * d, cap * cap);
  }
  double Slope(double fisher, double d) const {
    if (fisher >= least) return 2 * factor * fisher * d;
    return std::abs(d) < cap ? -2 * release * d : 0.0;
  }
};

// Tensors of one parameter, in memory order as float.
struct Arrays {
  const float *fisher, *anchor, *weight;
  float* gradient;
};

// Calls body(tensor, element) over all, chunk by chunk, and adds up what it gives: in an order that does not depend on
// the number of threads.
template <typename Body>
double SumOver(const std::vector<int64_t>& sizes, const Body& body) {
  const Chunks chunks(sizes);
  std::vector<double> parts(static_cast<size_t>(chunks.count()), 0.0);
  chunks.ForEach([&](size_t tensor, int64_t begin, int64_t end, int64_t chunk) {
    double sum = 0;
    for (int64_t i = begin; i < end; ++i) sum += body(tensor, i);
    parts[static_cast<size_t>(chunk)] = sum;
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

std::string Key(size_t anchor, const char* kind, const std::string& name) {
  return absl::StrCat(anchor, "/", kind, "/", name);
}

at::Tensor Float(const at::Tensor& tensor) { return tensor.detach().to(c10::kCPU, c10::kFloat).contiguous(); }

}  // namespace

absl::StatusOr<std::shared_ptr<Ewc>> Ewc::Make(const EwcOptions& options) {
  for (const auto& [name, value] : {std::pair{"strength", options.strength},
                                    {"target", options.target},
                                    {"threshold", options.threshold},
                                    {"release", options.release},
                                    {"cap", options.cap}}) {
    if (value >= 0 && std::isfinite(value)) continue;
    return ConfigError(absl::StrFormat("ewc: %s is %g, expected a number of 0 or more", name, value));
  }
  if (options.compat == "dr_clamp" && options.form != "dr")
    return ConfigError("ewc: compat='dr_clamp' is about form='dr', got form='" + options.form + "'");
  return std::shared_ptr<Ewc>(new Ewc(options));
}

// The F from which a weight is important to form=dr.
double Ewc::Least(const AnchorReport& report) const {
  return options_.threshold * (options_.relative || options_.normalize ? report.largest : 1.0);
}

// What F is multiplied by in each tensor.
absl::StatusOr<std::vector<double>> Ewc::Factors(const std::vector<at::Tensor>& fisher, AnchorReport* report) const {
  std::vector<double> largest(fisher.size(), 0.0);
  double norms = 0;
  int64_t elements = 0, dead = 0;
  for (size_t i = 0; i < fisher.size(); ++i) {
    if (!fisher[i].defined()) continue;
    const at::Tensor wide = fisher[i].to(c10::kDouble);
    largest[i] = wide.max().item<double>();
    report->sum += wide.sum().item<double>();
    norms += std::sqrt(wide.square().sum().item<double>());
  }
  report->largest = largest.empty() ? 0.0 : *std::max_element(largest.begin(), largest.end());
  const bool divides = options_.form != "raw" && options_.form != "l2" && (!dr() || options_.normalize);
  if (divides && !(report->largest >= kLeastFisher)) {
    return NumericsError(
        absl::StrFormat("ewc: the largest F is %g, below %g: form='%s' would divide by it; were the gradients of the "
                        "task measured?",
                        report->largest, kLeastFisher, options_.form));
  }
  report->strength = options_.strength;
  if (options_.form == "scaled" || (dr() && options_.normalize)) report->strength /= report->largest;
  if (options_.form == "target") report->strength *= options_.target / norms;
  std::vector<double> factors(fisher.size(), report->strength);
  for (size_t i = 0; i < fisher.size(); ++i) {
    if (options_.form == "layer") factors[i] = largest[i] > 0 ? options_.strength / largest[i] : 0.0;
    if (!fisher[i].defined()) continue;
    dead += (dr() ? fisher[i].lt(Least(*report)) : fisher[i].eq(0)).sum().item<int64_t>();
    elements += fisher[i].numel();
  }
  report->dead = elements > 0 ? static_cast<double>(dead) / static_cast<double>(elements) : 0.0;
  return factors;
}

absl::StatusOr<AnchorReport> Ewc::AddAnchor(const std::vector<nn::NamedParameter>& parameters,
                                            const std::vector<at::Tensor>& fisher) {
  const at::NoGradGuard no_grad;
  AnchorReport report;
  Anchor anchor;
  for (size_t i = 0; i < parameters.size(); ++i) {
    anchor.names.push_back(parameters[i].name);
    anchor.values.push_back(Float(parameters[i].tensor).clone());
    const bool held = fisher[i].defined() && parameters[i].tensor.requires_grad();
    anchor.fisher.push_back(!held                   ? at::Tensor()
                            : options_.form == "l2" ? at::ones_like(anchor.values.back())
                                                    : Float(fisher[i]));
  }
  LANTHORN_ASSIGN_OR_RETURN(anchor.factors, Factors(anchor.fisher, &report));
  anchor.least = Least(report);
  newest_ = anchor.values;
  ++tasks_;
  if (options_.compat == "latest_anchor") anchors_.clear();
  if (anchors_.empty() || dr()) {
    anchors_.push_back(std::move(anchor));
  } else {
    Merge(anchor);
  }
  return report;
}

// c F (p-a)^2 + k G (p-b)^2 = W (p-m)^2 + constant with W = c F + k G, m = (c F a + k G b) / W.
void Ewc::Merge(const Anchor& anchor) {
  Anchor& all = anchors_.front();
  for (size_t i = 0; i < all.fisher.size(); ++i) {
    if (!anchor.fisher[i].defined()) continue;
    if (!all.fisher[i].defined()) all.fisher[i] = at::zeros_like(anchor.fisher[i]);
    const auto wide = [](const at::Tensor& tensor) { return tensor.to(c10::kDouble); };
    const at::Tensor first = wide(all.fisher[i]) * all.factors[i], second = wide(anchor.fisher[i]) * anchor.factors[i];
    const at::Tensor a = wide(all.values[i]), b = wide(anchor.values[i]);
    const at::Tensor sum = first + second;
    const at::Tensor middle = at::where(sum > 0, (first * a + second * b) / sum, a);
    all.constant += (first * (a - middle).square() + second * (b - middle).square()).sum().item<double>();
    all.fisher[i] = sum.to(c10::kFloat);
    all.values[i] = middle.to(c10::kFloat);
    all.factors[i] = 1;
  }
}

double Ewc::ValueAndGradients(const Anchor& anchor, const std::vector<nn::NamedParameter>& parameters,
                              std::vector<at::Tensor>* gradients) const {
  std::vector<Arrays> arrays;
  std::vector<int64_t> sizes;
  std::vector<at::Tensor> weights;  // as float on the CPU
  for (size_t i = 0; i < parameters.size(); ++i) {
    const bool held = anchor.fisher[i].defined();
    weights.push_back(held ? Float(parameters[i].tensor) : at::Tensor());
    gradients->push_back(held ? at::zeros_like(weights.back()) : at::Tensor());
    sizes.push_back(held ? weights.back().numel() : 0);
    arrays.push_back(held ? Arrays{anchor.fisher[i].data_ptr<float>(), anchor.values[i].data_ptr<float>(),
                                   weights.back().data_ptr<float>(), gradients->back().data_ptr<float>()}
                          : Arrays{});
  }
  const auto pass = [&](const auto& rule_of) {
    return SumOver(sizes, [&](size_t tensor, int64_t i) {
      const Arrays& at = arrays[tensor];
      const auto rule = rule_of(tensor);
      const double d = static_cast<double>(at.weight[i]) - static_cast<double>(at.anchor[i]);
      const double fisher = static_cast<double>(at.fisher[i]);
      at.gradient[i] = static_cast<float>(rule.Slope(fisher, d));
      return rule.Value(fisher, d);
    });
  };
  if (!dr()) return anchor.constant + pass([&](size_t tensor) { return Quadratic{anchor.factors[tensor]}; });
  const bool clamp = options_.compat == "dr_clamp";
  const Release rule{anchor.factors.front(), anchor.least, options_.release,
                     clamp ? std::numeric_limits<double>::infinity() : options_.cap};
  return pass([&](size_t) { return rule; });
}

absl::StatusOr<double> Ewc::AddGradient(const std::vector<nn::NamedParameter>& parameters) {
  const at::NoGradGuard no_grad;
  double total = 0, gradient_squares = 0;
  std::vector<std::vector<at::Tensor>> gradients(anchors_.size());
  for (size_t k = 0; k < anchors_.size(); ++k) total += ValueAndGradients(anchors_[k], parameters, &gradients[k]);
  if (options_.compat == "dr_clamp" && total < 0) {  // as published: the clamp has no gradient, and nothing is held
    total = 0;
    gradients.clear();
  }
  for (const std::vector<at::Tensor>& of_anchor : gradients) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (!of_anchor[i].defined()) continue;
      const at::Tensor& parameter = parameters[i].tensor;
      gradient_squares += of_anchor[i].square().sum().item<double>();
      if (!parameter.grad().defined()) parameter.mutable_grad() = at::zeros_like(parameter);
      parameter.mutable_grad().add_(of_anchor[i].to(parameter.device(), parameter.scalar_type()));
    }
  }
  had_gradient_ = gradient_squares > 0;
  counts_.last = total;
  return total;
}

double Ewc::Distance(const std::vector<nn::NamedParameter>& parameters) const {
  double squares = 0;
  for (size_t i = 0; i < newest_.size(); ++i)
    squares += (Float(parameters[i].tensor) - newest_[i]).square().sum().item<double>();
  return std::sqrt(squares);
}

void Ewc::CountUpdate() {
  ++counts_.updates;
  if (had_gradient_) ++counts_.with_gradient;
}

NamedTensors Ewc::Tensors() const {
  NamedTensors tensors;
  for (size_t k = 0; k < anchors_.size(); ++k) {
    for (size_t i = 0; i < anchors_[k].names.size(); ++i) {
      const std::string& name = anchors_[k].names[i];
      tensors.emplace_back(Key(k, "anchor", name), anchors_[k].values[i]);
      if (anchors_[k].fisher[i].defined()) tensors.emplace_back(Key(k, "fisher", name), anchors_[k].fisher[i]);
    }
  }
  // Of one task the newest anchor is the anchor itself.
  for (size_t i = 0; tasks_ > 1 && i < newest_.size(); ++i)
    tensors.emplace_back(absl::StrCat("newest/", anchors_.front().names[i]), newest_[i]);
  return tensors;
}

json Ewc::State() const {
  json anchors = json::array();
  for (const Anchor& anchor : anchors_) {
    anchors.push_back(
        {{"names", anchor.names}, {"factors", anchor.factors}, {"constant", anchor.constant}, {"least", anchor.least}});
  }
  return {{"name", name()},      {"form", options_.form},      {"anchors", anchors},
          {"tasks", tasks_},     {"updates", counts_.updates}, {"with_gradient", counts_.with_gradient},
          {"last", counts_.last}};
}

void Ewc::Clear() {
  anchors_.clear();
  newest_.clear();
  tasks_ = 0;
  counts_ = {};
  had_gradient_ = false;
}

absl::Status Ewc::Load(const NamedTensors& tensors, const json& state) {
  const auto find = [&tensors](const std::string& key) {
    const auto found = std::find_if(tensors.begin(), tensors.end(), [&](const auto& one) { return one.first == key; });
    return found == tensors.end() ? at::Tensor() : found->second;
  };
  if (state.value("form", "") != options_.form) {
    return WeightsError(absl::StrFormat("its anchors are of ewc form '%s', this training has '%s'",
                                        state.value("form", "?"), options_.form));
  }
  std::vector<Anchor> anchors;
  for (const json& given : state.at("anchors")) {
    Anchor anchor;
    given.at("names").get_to(anchor.names);
    given.at("factors").get_to(anchor.factors);
    given.at("constant").get_to(anchor.constant);
    given.at("least").get_to(anchor.least);
    for (const std::string& name : anchor.names) {
      anchor.values.push_back(find(Key(anchors.size(), "anchor", name)));
      anchor.fisher.push_back(find(Key(anchors.size(), "fisher", name)));
      if (!anchor.values.back().defined()) return WeightsError("ewc: the anchor of '" + name + "' is missing");
    }
    anchors.push_back(std::move(anchor));
  }
  anchors_ = std::move(anchors);
  tasks_ = state.at("tasks");
  newest_ = anchors_.empty() ? std::vector<at::Tensor>() : anchors_.back().values;
  for (size_t i = 0; tasks_ > 1 && i < newest_.size(); ++i) {
    const at::Tensor kept = find("newest/" + anchors_.front().names[i]);
    if (kept.defined()) newest_[i] = kept;
  }
  counts_ = {state.at("updates"), state.at("with_gradient"), state.at("last")};
  return absl::OkStatus();
}

}  // namespace lanthorn::train
