// Options of training that predicts some of its updates. Needs no LibTorch: the runner has them too.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/options/option_row.h"

namespace lanthorn::train {

struct HybridOptions {
  std::string arm = "extrapolate";
  int64_t warmup_steps = 100, full_steps = 20, correct_steps = 1;
  int64_t max_predict = 15, max_consecutive = 5;
  // Of the confidence, for a block to be predicted. Published: 0.85, which a confidence that begins at 0.5 never
  // reaches, since blocks alone change it.
  double threshold = 0.3;
  double confidence = 0.5;  // at first
  bool fixed_confidence = false;
  double gamma = 0.9, rho = 0.8;
  double probe_worse = 1.02, probe_sigma = 3;
  double sigma = 3, ema_decay = 0.99, gradient_multiplier = 100, vanishing = 0.01;
  bool published_monitor = false;
  bool forecast = false;
  int64_t seed = 0;

  // Published behaviour: the prediction changes nothing, and so does the correction, which runs forward alone.
  bool changes_weights() const { return arm != "noop"; }
};

template <typename Visit>
void Fields(Visit&& visit, HybridOptions& hybrid) {
  visit({"arm",
         "what a predicted step does: extrapolate by the optimiser's moments, linear_fit of the last full block, "
         "random_dir of the same length, or noop, the published one, which changes nothing",
         {},
         {"extrapolate", "linear_fit", "random_dir", "noop"}},
        hybrid.arm);
  visit({"warmup_steps", "real updates before anything else", 1}, hybrid.warmup_steps);
  visit({"full_steps", "real updates of a full block", 1}, hybrid.full_steps);
  visit({"correct_steps", "real updates after a predicted block", 0}, hybrid.correct_steps);
  visit({"max_predict", "steps of a predicted block at most", 1}, hybrid.max_predict);
  visit({"max_consecutive", "predicted blocks without a full one between them at most", 1}, hybrid.max_consecutive);
  visit({"threshold", "confidence from which a block is predicted, between 0 and 1"}, hybrid.threshold);
  visit({"confidence", "at first; 0.8 of it and 0.2 for each block that is accepted make the next", 0},
        hybrid.confidence);
  visit({"fixed_confidence", "the confidence stays as it is"}, hybrid.fixed_confidence);
  visit({"gamma", "a predicted step is so much smaller than the one before", 0}, hybrid.gamma);
  visit({"rho", "linear_fit: decay of the mean over a full block's updates", 0}, hybrid.rho);
  visit({"probe_worse", "a block is rejected when its probe loss is above this multiple of the last one", 1},
        hybrid.probe_worse);
  visit({"probe_sigma", "or so many deviations above the mean of the last 32", 0}, hybrid.probe_sigma);
  visit({"sigma", "deviations of the loss that are a warning; 0.7 of it is a caution, twice critical", 0},
        hybrid.sigma);
  visit({"ema_decay", "of the monitor's means", 0}, hybrid.ema_decay);
  visit({"gradient_multiplier",
         "times the gradient norm at the end of the warm-up: a warning; ten times that: critical", 0},
        hybrid.gradient_multiplier);
  visit({"vanishing", "share of that norm below which a gradient is a warning", 0}, hybrid.vanishing);
  visit({"published_monitor", "the monitor as published: it begins with a variance that hides the first hundred steps"},
        hybrid.published_monitor);
  visit({"forecast",
         "the monitor also holds the loss against a forecast of it from those before, which learns as it goes"},
        hybrid.forecast);
  visit({"seed", "of random_dir and of the probe batch", 0}, hybrid.seed);
}

}  // namespace lanthorn::train
