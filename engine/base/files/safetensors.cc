#include "engine/base/files/safetensors.h"

#include <ATen/ops/empty.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "engine/base/files/files.h"
#include "engine/base/files/safetensors_header.h"

namespace lanthorn {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian and is read in place");

constexpr char kAlias[] = "alias:";
constexpr size_t kAliasLength = sizeof(kAlias) - 1;
constexpr uint64_t kLengthBytes = 8;

// --- reading ---------------------------------------------------------------------------------------------------------

absl::Status ReadAt(const std::string& path, int fd, uint64_t offset, void* data, uint64_t bytes) {
  char* next = static_cast<char*>(data);
  while (bytes > 0) {
    const ssize_t got = pread(fd, next, std::min<uint64_t>(bytes, uint64_t{1} << 30), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return WeightsError(ErrnoMessage(path, "cannot read", errno));
    if (got == 0) return WeightsError(absl::StrCat("'", path, "': the file became shorter while it was read"));
    next += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
  return absl::OkStatus();
}

// What a file is that begins with another format's signature, with what to do; empty for others.
std::string OtherFormat(uint64_t first_bytes) {
  char bytes[kLengthBytes];
  std::memcpy(bytes, &first_bytes, sizeof bytes);
  const std::string_view begin(bytes, sizeof bytes);
  const char kConvert[] =
      "; save it as safetensors: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')";
  if (begin.substr(0, 4) == std::string_view("PK\3\4", 4))
    return absl::StrCat("is a zip archive, as torch.save writes them (PyTorch pickle)", kConvert);
  if (begin[0] == '\x80' && begin[1] >= 2 && begin[1] <= 5) return absl::StrCat("is a Python pickle", kConvert);
  if (begin.substr(0, 4) == "\x89HDF") return absl::StrCat("is an HDF5 file", kConvert);
  if (begin.substr(0, 6) == "\x93NUMPY") return "is a NumPy array; data.npy reads those";
  return "";
}

// R1 to R4: the header's text, read only when its length is believable.
absl::StatusOr<std::string> ReadHeaderText(const std::string& path, int fd, uint64_t file_bytes) {
  const std::string subject = absl::StrCat("'", path, "': ");
  if (file_bytes < kLengthBytes) {
    return WeightsError(
        absl::StrCat(subject, "the file has ", file_bytes, " bytes, fewer than the 8 of the header length"));
  }
  uint64_t length = 0;
  LANTHORN_RETURN_IF_ERROR(ReadAt(path, fd, 0, &length, kLengthBytes));
  const std::string other = OtherFormat(length);
  if (!other.empty() && length > file_bytes - kLengthBytes) return WeightsError(subject + other);
  if (length > kMaxSafetensorsHeader) {
    return WeightsError(
        absl::StrCat(subject, "the header claims ", length, " bytes, the limit is ", kMaxSafetensorsHeader));
  }
  if (length > file_bytes - kLengthBytes) {
    return WeightsError(absl::StrCat(subject, "header cut short: it claims ", length, " bytes, the file holds ",
                                     file_bytes - kLengthBytes, " after the length"));
  }
  char first = '\0';
  if (length > 0) LANTHORN_RETURN_IF_ERROR(ReadAt(path, fd, kLengthBytes, &first, 1));
  if (first != '{') return WeightsError(subject + "the header does not begin with '{'");
  std::string text(length, '\0');
  LANTHORN_RETURN_IF_ERROR(ReadAt(path, fd, kLengthBytes, text.data(), length));
  return text;
}

// Turns "alias:<name>" entries of the metadata into tensors that share memory with the stored ones.
absl::Status ResolveAliases(const std::string& path, std::map<std::string, std::string>& metadata,
                            std::map<std::string, at::Tensor>& tensors) {
  std::vector<std::pair<std::string, at::Tensor>> tied;
  for (auto it = metadata.begin(); it != metadata.end();) {
    if (it->first.rfind(kAlias, 0) != 0) {
      ++it;
      continue;
    }
    const std::string name = it->first.substr(kAliasLength);
    const auto stored = tensors.find(it->second);
    if (stored == tensors.end()) {
      return WeightsError(
          absl::StrCat("'", path, "': '", name, "' is tied to '", it->second, "', which is not in the file"));
    }
    if (tensors.count(name)) {
      return WeightsError(absl::StrCat("'", path, "': '", name, "' is both stored and tied to '", it->second, "'"));
    }
    tied.emplace_back(name, stored->second);
    it = metadata.erase(it);
  }
  for (auto& [name, tensor] : tied) tensors.emplace(name, std::move(tensor));
  return absl::OkStatus();
}

// --- writing ---------------------------------------------------------------------------------------------------------

// What two names must share to be one stored tensor.
using Identity =
    std::tuple<const void*, int64_t, c10::ScalarType, std::vector<int64_t>, std::vector<int64_t>, bool, bool>;

Identity IdentityOf(const at::Tensor& t) {
  return {t.storage().unsafeGetStorageImpl(),
          t.storage_offset(),
          t.scalar_type(),
          t.sizes().vec(),
          t.strides().vec(),
          t.is_conj(),
          t.is_neg()};
}

int DtypeRank(c10::ScalarType type) {
  static const std::vector<std::string> order = {"I64", "F64", "C64", "F32", "I32", "BF16",
                                                 "F16", "I16", "I8",  "U8",  "BOOL"};
  return static_cast<int>(std::find(order.begin(), order.end(), SafetensorsDtypeName(type)) - order.begin());
}

absl::Status CheckName(const std::string& path, const std::string& name) {
  const std::string subject = absl::StrCat("'", path, "': ");
  if (name.empty()) return WeightsError(subject + "cannot store a tensor without a name");
  if (name == "__metadata__")
    return WeightsError(subject + "'__metadata__' is reserved, a tensor cannot have that name");
  if (!IsUtf8(name)) return WeightsError(subject + "a tensor's name is not valid UTF-8");
  return absl::OkStatus();
}

absl::Status CheckTensor(const std::string& path, const std::string& name, const at::Tensor& tensor) {
  const std::string subject = absl::StrCat("'", path, "': tensor '", name, "' ");
  if (!tensor.defined()) return WeightsError(subject + "is undefined");
  if (tensor.layout() != c10::kStrided) return WeightsError(subject + "is sparse; only dense tensors can be stored");
  if (SafetensorsDtypeName(tensor.scalar_type()).empty()) {
    return WeightsError(
        absl::StrCat(subject, "has dtype ", c10::toString(tensor.scalar_type()), ", which safetensors does not know"));
  }
  return absl::OkStatus();
}

struct Layout {
  NamedTensors stored;                          // in the order of their data
  std::map<std::string, std::string> metadata;  // with aliases
};

absl::StatusOr<Layout> Arrange(const std::string& path, const NamedTensors& tensors,
                               const std::map<std::string, std::string>& metadata) {
  Layout layout{{}, metadata};
  for (const auto& [key, value] : metadata) {
    if (key.rfind(kAlias, 0) == 0)
      return WeightsError(absl::StrCat("'", path, "': metadata '", key, "' has the reserved prefix 'alias:'"));
    if (!IsUtf8(key) || !IsUtf8(value)) return WeightsError(absl::StrCat("'", path, "': metadata is not valid UTF-8"));
  }
  std::map<std::string, at::Tensor> by_name;
  for (const auto& [name, tensor] : tensors) {
    LANTHORN_RETURN_IF_ERROR(CheckName(path, name));
    LANTHORN_RETURN_IF_ERROR(CheckTensor(path, name, tensor));
    if (!by_name.emplace(name, tensor).second)
      return WeightsError(absl::StrCat("'", path, "': two tensors have the name '", name, "'"));
  }
  std::map<Identity, std::string> first_name;
  for (const auto& [name, tensor] : by_name) {
    if (tensor.numel() > 0) {
      const auto [known, is_new] = first_name.emplace(IdentityOf(tensor), name);
      if (!is_new) {
        layout.metadata[kAlias + name] = known->second;
        continue;
      }
    }
    layout.stored.emplace_back(name, tensor);
  }
  std::stable_sort(layout.stored.begin(), layout.stored.end(), [](const auto& a, const auto& b) {
    return DtypeRank(a.second.scalar_type()) < DtypeRank(b.second.scalar_type());
  });
  return layout;
}

// The length and the header, padded so that the data begins at a multiple of 8.
std::string HeaderBytes(const Layout& layout) {
  nlohmann::json header = nlohmann::json::object();
  if (!layout.metadata.empty()) header["__metadata__"] = layout.metadata;
  uint64_t at = 0;
  for (const auto& [name, tensor] : layout.stored) {
    header[name] = {{"dtype", SafetensorsDtypeName(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {at, at + tensor.nbytes()}}};
    at += tensor.nbytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const uint64_t length = text.size();
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes + text;
}

}  // namespace

absl::StatusOr<SafetensorsFile> ReadSafetensors(const std::string& path) {
  auto fd = OpenForReading(path);
  if (!fd.ok()) return WeightsError(MessageOf(fd.status()));
  struct stat info;
  if (fstat(fd->get(), &info) != 0) return WeightsError(ErrnoMessage(path, "cannot read", errno));
  const uint64_t file_bytes = static_cast<uint64_t>(info.st_size);

  LANTHORN_ASSIGN_OR_RETURN(const std::string text, ReadHeaderText(path, fd->get(), file_bytes));
  const uint64_t data_start = kLengthBytes + text.size();
  LANTHORN_ASSIGN_OR_RETURN(SafetensorsHeader header, ParseSafetensorsHeader(path, text, file_bytes - data_start));

  std::map<std::string, at::Tensor> tensors;
  for (const SafetensorsEntry& entry : header.entries) {
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(entry.dtype).device(at::kCPU));
    LANTHORN_RETURN_IF_ERROR(
        ReadAt(path, fd->get(), data_start + entry.begin, tensor.data_ptr(), entry.end - entry.begin));
    tensors.emplace(entry.name, std::move(tensor));
  }
  LANTHORN_RETURN_IF_ERROR(ResolveAliases(path, header.metadata, tensors));

  SafetensorsFile file;
  file.metadata = std::move(header.metadata);
  for (auto& [name, tensor] : tensors) file.tensors.emplace_back(name, std::move(tensor));
  return file;
}

absl::Status WriteSafetensors(const std::string& path, const NamedTensors& tensors,
                              const std::map<std::string, std::string>& metadata) {
  LANTHORN_ASSIGN_OR_RETURN(const Layout layout, Arrange(path, tensors, metadata));
  const std::string header = HeaderBytes(layout);
  if (header.size() - kLengthBytes > kMaxSafetensorsHeader) {
    return WeightsError(
        absl::StrCat("'", path, "': the header needs ", header.size(), " bytes, the limit is ", kMaxSafetensorsHeader));
  }
  LANTHORN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path));
  LANTHORN_RETURN_IF_ERROR(file.Append(header.data(), header.size()));
  for (const auto& [name, tensor] : layout.stored) {
    const at::Tensor plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous();
    LANTHORN_RETURN_IF_ERROR(file.Append(plain.data_ptr(), plain.nbytes()));
  }
  return file.Commit();
}

}  // namespace lanthorn
