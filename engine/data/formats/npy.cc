#include "engine/data/formats/npy.h"

#include <ATen/Functions.h>
#include <zip.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "engine/base/files/files.h"

namespace lanthorn::data {
namespace {

constexpr char kMagic[] = "\x93NUMPY";

struct Type {
  const char* name;  // kind and bytes, as NumPy writes them behind the byte order
  c10::ScalarType read, made;
};
constexpr Type kTypes[] = {
    {"f2", c10::kHalf, c10::kHalf},
    {"f4", c10::kFloat, c10::kFloat},
    {"f8", c10::kDouble, c10::kDouble},
    {"i1", c10::kChar, c10::kChar},
    {"i2", c10::kShort, c10::kShort},
    {"i4", c10::kInt, c10::kInt},
    {"i8", c10::kLong, c10::kLong},
    {"u1", c10::kByte, c10::kByte},
    {"u2", c10::kShort, c10::kLong},
    {"u4", c10::kInt, c10::kLong},
    {"u8", c10::kLong, c10::kLong},
    {"b1", c10::kBool, c10::kBool},
    {"c8", c10::kComplexFloat, c10::kComplexFloat},
    {"c16", c10::kComplexDouble, c10::kComplexDouble},
};

// The text of a header's value: what stands behind 'name': up to the comma that ends it.
std::string Field(const std::string& header, const std::string& name) {
  const size_t key = header.find("'" + name + "'");
  if (key == std::string::npos) return "";
  size_t at = header.find(':', key);
  if (at == std::string::npos) return "";
  int depth = 0;
  const size_t begin = ++at;
  while (at < header.size() && (depth > 0 || (header[at] != ',' && header[at] != '}'))) {
    depth += header[at] == '(' || header[at] == '[' ? 1 : header[at] == ')' || header[at] == ']' ? -1 : 0;
    ++at;
  }
  return std::string(absl::StripAsciiWhitespace(header.substr(begin, at - begin)));
}

// "(3, 4)", "(5,)", "()"
bool ReadShape(const std::string& text, std::vector<int64_t>* shape) {
  if (text.size() < 2 || text.front() != '(' || text.back() != ')') return false;
  for (absl::string_view part : absl::StrSplit(text.substr(1, text.size() - 2), ',')) {
    part = absl::StripAsciiWhitespace(part);
    if (part.empty()) continue;
    int64_t size = 0;
    if (!absl::SimpleAtoi(part, &size) || size < 0) return false;
    shape->push_back(size);
  }
  return true;
}

void SwapBytes(char* bytes, size_t count, size_t size) {
  for (size_t i = 0; i < count; ++i) std::reverse(bytes + i * size, bytes + (i + 1) * size);
}

absl::StatusOr<at::Tensor> Parse(const std::string& bytes, const std::string& name) {
  const auto wrong = [&](const std::string& what) { return DataError(absl::StrCat("'", name, "': ", what)); };
  if (bytes.size() < 12 || std::memcmp(bytes.data(), kMagic, 6) != 0) return wrong("not a NumPy array (.npy)");
  const int version = bytes[6];
  const size_t length_bytes = version == 1 ? 2 : 4;
  if (version < 1 || version > 3) return wrong(absl::StrFormat("version %d of the .npy format is not known", version));
  uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, length_bytes);
  const size_t begin = 8 + length_bytes + length;
  if (begin > bytes.size()) return wrong("cut short in its header");
  const std::string header = bytes.substr(8 + length_bytes, length);
  std::string kind = Field(header, "descr");
  std::vector<int64_t> shape;
  if (!ReadShape(Field(header, "shape"), &shape)) return wrong("its header has no shape");
  if (kind.size() < 3 || kind.front() != '\'')
    return wrong("structured arrays are not supported; save each field as an array of its own");
  kind = kind.substr(1, kind.size() - 2);
  const Type* type = nullptr;
  for (const Type& known : kTypes) {
    if (kind.substr(1) == known.name) type = &known;
  }
  if (kind[1] == 'O')
    return wrong("holds Python objects (a pickle); save numbers: numpy.save(path, array.astype('float32'))");
  if (type == nullptr)
    return wrong(absl::StrCat("type '", kind, "' is not supported; save numbers, such as float32 or int64"));
  at::Tensor read = at::empty(shape, at::TensorOptions(type->read));
  const bool by_column = absl::StrContains(Field(header, "fortran_order"), "True");
  if (by_column) {
    std::reverse(shape.begin(), shape.end());
    read = at::empty(shape, at::TensorOptions(type->read));
  }
  const size_t wanted = read.nbytes();
  if (bytes.size() - begin < wanted)
    return wrong(absl::StrFormat("cut short: %d of %d bytes of its numbers", bytes.size() - begin, wanted));
  if (wanted > 0) std::memcpy(read.data_ptr(), bytes.data() + begin, wanted);
  if (kind[0] == '>') {
    const size_t part = c10::isComplexType(type->read) ? read.element_size() / 2 : read.element_size();
    SwapBytes(static_cast<char*>(read.data_ptr()), wanted / part, part);
  }
  if (by_column)
    read = read.permute([&] {
                 std::vector<int64_t> order(shape.size());
                 for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(order.size() - 1 - i);
                 return order;
               }())
               .contiguous();
  if (kind.substr(1) == "u8" && read.numel() > 0 && read.min().item<int64_t>() < 0)
    return wrong("holds unsigned numbers above 2^63, which int64 does not hold");
  if (type->made == type->read) return read;
  read = read.to(type->made);
  const int64_t range = kind.substr(1) == "u2" ? int64_t{1} << 16 : int64_t{1} << 32;
  return at::where(read.lt(0), read + range, read);  // the sign bit was a digit
}

}  // namespace

absl::StatusOr<at::Tensor> ReadNpy(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  if (bytes.rfind("PK", 0) == 0)
    return DataError("'" + path + "' is an archive of arrays (.npz); read it as one: data.read_npz");
  return Parse(bytes, path);
}

absl::StatusOr<std::vector<std::pair<std::string, at::Tensor>>> ReadNpz(const std::string& path) {
  LANTHORN_RETURN_IF_ERROR(OpenForReading(path).status());
  int error = 0;
  const std::unique_ptr<zip_t, decltype(&zip_discard)> archive(zip_open(path.c_str(), ZIP_RDONLY, &error),
                                                               &zip_discard);
  if (archive == nullptr) return DataError("'" + path + "': not a NumPy archive (.npz)");
  std::vector<std::pair<std::string, at::Tensor>> arrays;
  for (zip_int64_t i = 0; i < zip_get_num_entries(archive.get(), 0); ++i) {
    zip_stat_t about;
    const auto index = static_cast<zip_uint64_t>(i);
    const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(zip_fopen_index(archive.get(), index, 0),
                                                                  &zip_fclose);
    if (zip_stat_index(archive.get(), index, 0, &about) != 0 || file == nullptr)
      return DataError(absl::StrFormat("'%s': entry %d cannot be read: %s", path, i + 1, zip_strerror(archive.get())));
    std::string bytes(about.size, '\0');
    if (zip_fread(file.get(), bytes.data(), bytes.size()) != static_cast<zip_int64_t>(bytes.size()))
      return DataError(absl::StrFormat("'%s': '%s' is damaged", path, about.name));
    std::string name = about.name;
    if (absl::EndsWith(name, ".npy")) name.resize(name.size() - 4);
    LANTHORN_ASSIGN_OR_RETURN(at::Tensor array, Parse(bytes, absl::StrCat(path, "/", about.name)));
    arrays.emplace_back(std::move(name), std::move(array));
  }
  std::sort(arrays.begin(), arrays.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return arrays;
}

}  // namespace lanthorn::data
