// A transformer block in float64 by loops over samples, heads, positions and channels: for tests, and by other means
// than the code under test.
#pragma once

#include <ATen/Functions.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/nn/module.h"

namespace lanthorn {

class LoopTransformer {
 public:
  using Matrix = std::vector<std::vector<double>>;  // rows of one sample

  // `module`: the values of a MultiheadAttention or TransformerEncoderLayer.
  explicit LoopTransformer(const nn::Module& module) {
    for (const auto& entry : module.StateDict())
      tensors_.emplace_back(entry.name, entry.tensor.detach().to(c10::kDouble).contiguous());
  }

  // y[t][o] = sum_i x[t][i] W[o][i] + b[o]
  Matrix Linear(const Matrix& x, const std::string& weight, const std::string& bias) const {
    const at::Tensor w = Get(weight), b = Get(bias);
    Matrix y;
    for (const auto& row : x) {
      std::vector<double> out;
      for (int64_t o = 0; o < w.size(0); ++o) {
        double sum = b.defined() ? b.data_ptr<double>()[o] : 0;
        for (int64_t i = 0; i < w.size(1); ++i)
          sum += row[static_cast<size_t>(i)] * w.data_ptr<double>()[o * w.size(1) + i];
        out.push_back(sum);
      }
      y.push_back(out);
    }
    return y;
  }

  // `padded`: the positions that nothing may look at, empty for none.
  Matrix Attention(const Matrix& x, const std::string& prefix, size_t heads, bool causal,
                   const std::vector<bool>& padded = {}) const {
    const Matrix qkv = Linear(x, prefix + "in_proj_weight", prefix + "in_proj_bias");
    const size_t T = x.size(), d = x[0].size(), width = d / heads;
    Matrix joined(T, std::vector<double>(d, 0.0));
    for (size_t h = 0; h < heads; ++h) {
      for (size_t t = 0; t < T; ++t) {
        std::vector<double> score(T);
        double most = -1e300, total = 0;
        const auto seen = [&](size_t s) { return (!causal || s <= t) && (padded.empty() || !padded[s]); };
        for (size_t s = 0; s < T; ++s) {
          for (size_t c = 0; c < width; ++c) score[s] += qkv[t][h * width + c] * qkv[s][d + h * width + c];
          score[s] /= std::sqrt(static_cast<double>(width));
          if (seen(s)) most = std::max(most, score[s]);
        }
        for (size_t s = 0; s < T; ++s) {
          score[s] = seen(s) ? std::exp(score[s] - most) : 0;
          total += score[s];
        }
        for (size_t s = 0; s < T && total > 0; ++s) {
          for (size_t c = 0; c < width; ++c)
            joined[t][h * width + c] += score[s] / total * qkv[s][2 * d + h * width + c];
        }
      }
    }
    return Linear(joined, prefix + "out_proj.weight", prefix + "out_proj.bias");
  }

  Matrix Norm(const Matrix& x, const std::string& prefix, bool rms) const {
    const at::Tensor weight = Get(prefix + "weight"), bias = Get(prefix + "bias");
    Matrix y = x;
    for (auto& row : y) {
      const double n = static_cast<double>(row.size());
      double mean = 0, square = 0;
      for (double v : row) mean += rms ? 0 : v / n;
      for (double v : row) square += (v - mean) * (v - mean) / n;
      for (size_t c = 0; c < row.size(); ++c) {
        row[c] = (row[c] - mean) / std::sqrt(square + 1e-5);
        if (weight.defined()) row[c] *= weight.data_ptr<double>()[c];
        if (bias.defined()) row[c] += bias.data_ptr<double>()[c];
      }
    }
    return y;
  }

  Matrix FeedForward(const Matrix& x, const std::string& activation) const {
    const Matrix wide = Linear(x, "linear1.weight", "linear1.bias");
    Matrix active;
    for (const auto& row : wide) {
      std::vector<double> out;
      const size_t half = row.size() / 2;
      for (size_t c = 0; c < (activation == "swiglu" ? half : row.size()); ++c) {
        const double v = row[c], positive = std::max(v, 0.0);
        const double bent = std::sqrt(2 / M_PI) * (v + 0.044715 * v * v * v);
        out.push_back(activation == "gelu"        ? v * 0.5 * (1 + std::erf(v / std::sqrt(2.0)))
                      : activation == "gelu_tanh" ? v * 0.5 * (1 + std::tanh(bent))
                      : activation == "relu"      ? positive
                      : activation == "relu2"     ? positive * positive
                                                  : v / (1 + std::exp(-v)) * row[half + c]);
      }
      active.push_back(out);
    }
    return Linear(active, "linear2.weight", "linear2.bias");
  }

  Matrix Block(const Matrix& x, size_t heads, bool causal, const std::string& activation, bool rms, bool norm_first,
               const std::vector<bool>& padded = {}) const {
    const auto sum = [](Matrix a, const Matrix& b) {
      for (size_t t = 0; t < a.size(); ++t) {
        for (size_t c = 0; c < a[t].size(); ++c) a[t][c] += b[t][c];
      }
      return a;
    };
    const auto attend = [&](const Matrix& from) { return Attention(from, "self_attn.", heads, causal, padded); };
    if (norm_first) {
      const Matrix middle = sum(x, attend(Norm(x, "norm1.", rms)));
      return sum(middle, FeedForward(Norm(middle, "norm2.", rms), activation));
    }
    const Matrix middle = Norm(sum(x, attend(x)), "norm1.", rms);
    return Norm(sum(middle, FeedForward(middle, activation)), "norm2.", rms);
  }

  // Sample b of (B, T, C), and back.
  static Matrix Sample(const at::Tensor& x, int64_t b) {
    const at::Tensor wide = x[b].detach().to(c10::kDouble).contiguous();
    Matrix rows;
    for (int64_t t = 0; t < wide.size(0); ++t)
      rows.emplace_back(wide.data_ptr<double>() + t * wide.size(1), wide.data_ptr<double>() + (t + 1) * wide.size(1));
    return rows;
  }
  static double LargestDifference(const at::Tensor& y, int64_t b, const Matrix& expected) {
    const Matrix got = Sample(y, b);
    double most = 0;
    for (size_t t = 0; t < got.size(); ++t) {
      for (size_t c = 0; c < got[t].size(); ++c) {
        const double difference = std::abs(got[t][c] - expected[t][c]);
        most = difference <= most ? most : difference;  // NaN stays
      }
    }
    return most;
  }

 private:
  at::Tensor Get(const std::string& name) const {
    for (const auto& [key, tensor] : tensors_) {
      if (key == name) return tensor;
    }
    return {};
  }
  std::vector<std::pair<std::string, at::Tensor>> tensors_;
};

}  // namespace lanthorn
