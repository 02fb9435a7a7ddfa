#include "engine/nn/ids.h"

#include "absl/strings/str_join.h"

namespace lanthorn::nn {
namespace {

template <typename T>
int64_t FirstOutside(const at::Tensor& ids, int64_t count) {
  const at::Tensor flat = ids.contiguous();
  const T* const values = flat.data_ptr<T>();
  // Without a branch in the loop: nearly always all are right.
  bool outside = false;
  for (int64_t i = 0; i < flat.numel(); ++i) outside |= values[i] < 0 || values[i] >= count;
  if (!outside) return -1;
  for (int64_t i = 0;; ++i) {
    if (values[i] < 0 || values[i] >= count) return i;
  }
}

}  // namespace

void CheckIds(const at::Tensor& ids, int64_t count, const char* layer) {
  const bool wide = ids.scalar_type() == c10::kLong;
  TORCH_CHECK(wide || ids.scalar_type() == c10::kInt, "[", layer, "] ids must be int64 or int32, got ",
              ids.scalar_type());
  if (!ids.device().is_cpu()) return;
  int64_t at = wide ? FirstOutside<int64_t>(ids, count) : FirstOutside<int32_t>(ids, count);
  if (at < 0) return;
  const at::Tensor flat = ids.reshape({-1});
  const int64_t id = wide ? flat.data_ptr<int64_t>()[at] : flat.data_ptr<int32_t>()[at];
  std::vector<int64_t> place(static_cast<size_t>(ids.dim()));
  for (int64_t d = ids.dim() - 1; d >= 0; --d) {
    place[static_cast<size_t>(d)] = at % ids.size(d);
    at /= ids.size(d);
  }
  TORCH_CHECK(false, "[", layer, "] id ", id, " at [", absl::StrJoin(place, ", "), "] is outside of the table's ",
              count, " rows; ids go from 0 to ", count - 1);
}

}  // namespace lanthorn::nn
