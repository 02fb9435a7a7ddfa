#include "engine/kernels/attention/attention_keys.h"

#include <ATen/Functions.h>

namespace lanthorn::kernels {

AttentionKeyTensors AttentionKeyTensors::Of(const at::Tensor& padding, const RelationBias& bias,
                                            const at::TensorOptions& options) {
  AttentionKeyTensors keys;
  if (padding.defined()) {
    keys.keep = at::zeros({padding.size(0), AttentionColumns(padding.size(1))}, options);
    keys.keep.narrow(1, 0, padding.size(1)).copy_(padding.logical_not());
  }
  if (bias.defined()) {
    keys.relations = bias.relations.contiguous();
    keys.bias_rows = RelationRows(bias, AttentionColumns(keys.relations.size(1)));
  }
  return keys;
}

AttentionKeys AttentionKeyTensors::From(int64_t sample) const {
  AttentionKeys keys;
  if (keep.defined()) keys.keep = keep.data_ptr<float>() + sample * keep.size(1);
  if (!bias_rows.defined()) return keys;
  keys.relation_count = bias_rows.size(1);
  keys.relations = relations.data_ptr<int64_t>() + sample * relations.size(1);
  keys.bias_rows = bias_rows.data_ptr<float>() + sample * keys.relation_count * bias_rows.size(2);
  return keys;
}

at::Tensor AttentionKeyTensors::MakeGradients(int64_t heads) const {
  return at::zeros({bias_rows.size(0) * heads, bias_rows.size(1), bias_rows.size(2)}, bias_rows.options());
}

}  // namespace lanthorn::kernels
