#include "engine/data/formats/idx.h"

#include <ATen/Functions.h>
#include <zlib.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "absl/strings/str_format.h"
#include "engine/base/files/files.h"

namespace lanthorn::data {
namespace {

struct Type {
  unsigned char code;
  c10::ScalarType type;
};
constexpr Type kTypes[] = {{0x08, c10::kByte}, {0x09, c10::kChar},  {0x0B, c10::kShort},
                           {0x0C, c10::kInt},  {0x0D, c10::kFloat}, {0x0E, c10::kDouble}};

}  // namespace

absl::StatusOr<at::Tensor> ReadIdx(const std::string& path) {
  LANTHORN_RETURN_IF_ERROR(OpenForReading(path).status());
  const std::unique_ptr<gzFile_s, decltype(&gzclose)> file(gzopen(path.c_str(), "rb"), &gzclose);
  if (file == nullptr) return DataError("'" + path + "': cannot read");
  const auto wrong = [&](const std::string& what) { return DataError(absl::StrCat("'", path, "': ", what)); };
  const auto read = [&](void* to, size_t bytes) {
    char* at = static_cast<char*>(to);
    while (bytes > 0) {
      const int got = gzread(file.get(), at, static_cast<unsigned>(std::min(bytes, size_t{1} << 30)));
      if (got <= 0) return false;
      at += got;
      bytes -= static_cast<size_t>(got);
    }
    return true;
  };
  unsigned char head[4];
  if (!read(head, sizeof head) || head[0] != 0 || head[1] != 0) return wrong("not an IDX file (MNIST's format)");
  const Type* type =
      std::find_if(std::begin(kTypes), std::end(kTypes), [&](const Type& t) { return t.code == head[2]; });
  if (type == std::end(kTypes) || head[3] == 0) return wrong("not an IDX file (MNIST's format)");
  std::vector<int64_t> shape;
  int64_t numbers = 1;
  for (int i = 0; i < head[3]; ++i) {
    unsigned char size[4];
    if (!read(size, sizeof size)) return wrong("cut short in its sizes");
    shape.push_back(int64_t{size[0]} << 24 | int64_t{size[1]} << 16 | int64_t{size[2]} << 8 | int64_t{size[3]});
    if (shape.back() > 0 && numbers > (int64_t{1} << 40) / shape.back())
      return wrong("its header has impossible sizes");
    numbers *= shape.back();
  }
  at::Tensor array = at::empty(shape, at::TensorOptions(type->type));
  if (!read(array.data_ptr(), array.nbytes()))
    return wrong(absl::StrFormat("cut short: its header says %d numbers", numbers));
  char beyond = 0;
  if (gzread(file.get(), &beyond, 1) > 0)
    return wrong(absl::StrFormat("has more than the %d numbers of its header", numbers));
  const size_t size = array.element_size();
  char* const bytes = static_cast<char*>(array.data_ptr());
  for (int64_t i = 0; size > 1 && i < numbers; ++i)
    std::reverse(bytes + static_cast<size_t>(i) * size, bytes + static_cast<size_t>(i + 1) * size);
  return array;
}

}  // namespace lanthorn::data
