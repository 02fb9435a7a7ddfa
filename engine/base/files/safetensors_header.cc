// The text goes once through nlohmann's SAX parser: a DOM would keep the last of two equal keys, and would grow with
// whatever a damaged file nests. HeaderReader walks at most three levels (file, entry, list), keeps the lowest broken
// rule it met and goes on, so that a syntax error or a duplicate key further down is still reported as such.
#include "engine/base/files/safetensors_header.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>

#include "absl/strings/str_join.h"

namespace lanthorn {
namespace {

using nlohmann::json;

struct Dtype {
  const char* name;
  c10::ScalarType type;
};
constexpr Dtype kDtypes[] = {
    {"I64", c10::ScalarType::Long},  {"F64", c10::ScalarType::Double}, {"C64", c10::ScalarType::ComplexFloat},
    {"F32", c10::ScalarType::Float}, {"I32", c10::ScalarType::Int},    {"BF16", c10::ScalarType::BFloat16},
    {"F16", c10::ScalarType::Half},  {"I16", c10::ScalarType::Short},  {"I8", c10::ScalarType::Char},
    {"U8", c10::ScalarType::Byte},   {"BOOL", c10::ScalarType::Bool},
};
// Valid in the format, without a counterpart in LibTorch 1.13.
const std::set<std::string> kUnsupported = {"F4",          "F6_E2M3",     "F6_E3M2", "F8_E5M2", "F8_E4M3", "F8_E8M0",
                                            "F8_E4M3FNUZ", "F8_E5M2FNUZ", "U16",     "U32",     "U64"};

constexpr char kMetadata[] = "__metadata__";
constexpr size_t kMaxDepth = 64;  // no valid header nests deeper than 3; bounds what a hostile one can make us keep
constexpr uint64_t kMaxInt = std::numeric_limits<int64_t>::max();

// A name as shown in messages: damaged headers can hold very long ones.
std::string Shown(const std::string& name) {
  constexpr size_t kLongest = 80;
  return name.size() <= kLongest ? name : absl::StrCat(name.substr(0, kLongest), "...");
}

struct RawEntry {
  std::string name;
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<int64_t> offsets;
};

class HeaderReader : public nlohmann::json_sax<json> {
 public:
  bool null() override { return Scalar("null"); }
  bool boolean(bool) override { return Scalar("a boolean"); }
  bool number_integer(number_integer_t value) override { return Number("a negative number"); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > kMaxInt) return Number("a number above 2^63-1");
    if (!InList()) return Scalar("a number");
    (levels_[1].key == "shape" ? entry_.shape : entry_.offsets).push_back(static_cast<int64_t>(value));
    return true;
  }
  bool number_float(number_float_t, const string_t&) override {
    return Number("a number that is not a whole number below 2^63");
  }
  bool string(string_t& value) override {
    if (levels_.size() == 2 && in_metadata_) {
      metadata_[levels_[1].key] = value;
      return true;
    }
    if (levels_.size() != 2 || levels_[1].key != "dtype") return Scalar("a string");
    entry_.dtype = value;
    return true;
  }
  bool binary(binary_t&) override { return Scalar("binary"); }

  bool start_object(size_t) override {
    if (levels_.size() == 1) {
      in_metadata_ = levels_[0].key == kMetadata;
      entry_ = RawEntry{levels_[0].key, "", {}, {}};
    } else if (!levels_.empty()) {
      Scalar("an object");
    }
    return Open(/*is_object=*/true);
  }
  bool key(string_t& name) override {
    Level& level = levels_.back();
    if (!level.keys.insert(name).second)
      return Stop(7, absl::StrCat("duplicate key '", Shown(name), "' in the header"));
    level.key = name;
    if (levels_.size() == 2 && !in_metadata_ && name != "dtype" && name != "shape" && name != "data_offsets") {
      Note(9, absl::StrCat(Entry(), "has the extra field '", Shown(name), "'"));
    }
    return true;
  }
  bool end_object() override {
    if (levels_.size() == 2 && !in_metadata_) EndEntry();
    if (levels_.size() == 2) in_metadata_ = false;
    levels_.pop_back();
    return true;
  }
  bool start_array(size_t) override {
    const bool expected = levels_.size() == 2 && !in_metadata_ && levels_[1].key != "dtype";
    if (!expected) Scalar("a list");
    return Open(/*is_object=*/false);
  }
  bool end_array() override {
    levels_.pop_back();
    return true;
  }
  bool parse_error(size_t position, const std::string&, const json::exception& error) override {
    constexpr int kNumberOverflow = 406;
    if (error.id == kNumberOverflow) {
      return Stop(11, absl::StrCat("the header holds a number out of range at byte ", position));
    }
    return Stop(6, absl::StrCat("the header is not valid JSON at byte ", position));
  }

  int rule() const { return rule_; }
  const std::string& message() const { return message_; }
  std::vector<RawEntry>& entries() { return entries_; }
  std::map<std::string, std::string>& metadata() { return metadata_; }

 private:
  struct Level {
    bool is_object;
    std::set<std::string> keys;
    std::string key;  // the newest one
  };

  // Keeps the lowest broken rule, the first message of it.
  void Note(int rule, const std::string& message) {
    if (rule_ != 0 && rule_ <= rule) return;
    rule_ = rule;
    message_ = message;
  }
  // Ends parsing: nothing after this point can be trusted.
  bool Stop(int rule, const std::string& message) {
    rule_ = rule;
    message_ = message;
    return false;
  }

  std::string Entry() const { return absl::StrCat("tensor '", Shown(levels_[0].key), "' "); }
  bool InList() const {
    return levels_.size() == 3 && !levels_[2].is_object && !in_metadata_ && levels_[1].key != "dtype";
  }

  // A value of the wrong kind for its place.
  bool Scalar(const char* kind) {
    if (levels_[0].key == kMetadata) {
      const std::string what = levels_.size() == 1 ? "is" : absl::StrCat("'", Shown(levels_[1].key), "' is");
      Note(8, absl::StrCat("metadata must map strings to strings: ", what, " ", kind));
    } else if (levels_.size() == 1) {
      Note(9, absl::StrCat(Entry(), "must be an object, is ", kind));
    } else {
      Note(9, absl::StrCat(Entry(), "has ", kind, " in field '", Shown(levels_[1].key), "'"));
    }
    return true;
  }
  bool Number(const char* kind) {
    if (!InList()) return Scalar("a number");
    Note(11, absl::StrCat(Entry(), "has ", kind, " in '", levels_[1].key, "'"));
    return true;
  }

  bool Open(bool is_object) {
    if (levels_.size() == kMaxDepth) return Stop(9, absl::StrCat(Entry(), "nests too deeply"));
    levels_.push_back({is_object, {}, ""});
    return true;
  }

  void EndEntry() {
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!levels_[1].keys.count(field)) Note(9, absl::StrCat(Entry(), "lacks the field '", field, "'"));
    }
    // A refused number leaves the list short as well, and is the better message.
    if (entry_.offsets.size() != 2 && rule_ == 0) Note(9, absl::StrCat(Entry(), "needs two numbers in 'data_offsets'"));
    entries_.push_back(std::move(entry_));
  }

  std::vector<Level> levels_;
  bool in_metadata_ = false;
  RawEntry entry_;
  std::vector<RawEntry> entries_;
  std::map<std::string, std::string> metadata_;
  int rule_ = 0;
  std::string message_;
};

// R10, R12, R13: what one entry says about itself.
absl::StatusOr<SafetensorsEntry> CheckEntry(const std::string& path, RawEntry& raw) {
  const std::string subject = absl::StrCat("'", path, "': tensor '", Shown(raw.name), "' ");
  const Dtype* dtype =
      std::find_if(std::begin(kDtypes), std::end(kDtypes), [&](const Dtype& d) { return raw.dtype == d.name; });
  if (dtype == std::end(kDtypes)) {
    const char* kind = kUnsupported.count(raw.dtype) ? "unsupported (LibTorch has no such type)" : "unknown";
    return WeightsError(absl::StrCat(subject, "has dtype '", Shown(raw.dtype), "', which is ", kind));
  }
  const uint64_t begin = raw.offsets[0], end = raw.offsets[1];
  if (end < begin) return WeightsError(absl::StrCat(subject, "ends at ", end, ", before its begin ", begin));

  // Zero dims count as 1 in the overflow check: LibTorch multiplies strides that way.
  uint64_t bytes = c10::elementSize(dtype->type);
  bool overflow = false, empty = false;
  for (int64_t size : raw.shape) {
    overflow |= __builtin_mul_overflow(bytes, static_cast<uint64_t>(std::max<int64_t>(size, 1)), &bytes);
    empty |= size == 0;
  }
  const std::string shape = absl::StrJoin(raw.shape, ", ");
  if (overflow || bytes > kMaxInt) {
    return WeightsError(absl::StrCat(subject, "has a shape too large for any memory: [", Shown(shape), "]"));
  }
  if (empty) bytes = 0;
  if (end - begin != bytes) {
    return WeightsError(absl::StrCat(subject, "of shape [", Shown(shape), "] and dtype ", raw.dtype, " needs ", bytes,
                                     " bytes, its data_offsets hold ", end - begin));
  }
  return SafetensorsEntry{std::move(raw.name), dtype->type, std::move(raw.shape), begin, end};
}

// R14, R15: the entries, in the order of their data, cover it without hole or overlap.
absl::Status CheckTiling(const std::string& path, const std::vector<SafetensorsEntry>& entries, uint64_t data_bytes) {
  uint64_t at = 0;
  for (const SafetensorsEntry& entry : entries) {
    if (entry.begin != at) {
      return WeightsError(absl::StrCat("'", path, "': tensor '", Shown(entry.name), "' begins at byte ", entry.begin,
                                       " of the data, expected ", at, ": the tensors leave a hole or overlap"));
    }
    at = entry.end;
  }
  if (at != data_bytes) {
    return WeightsError(
        absl::StrCat("'", path, "': the tensors end at byte ", at, " of the data, the file holds ", data_bytes));
  }
  return absl::OkStatus();
}

}  // namespace

std::string SafetensorsDtypeName(c10::ScalarType type) {
  for (const Dtype& dtype : kDtypes) {
    if (dtype.type == type) return dtype.name;
  }
  return "";
}

bool IsUtf8(const std::string& text) {
  size_t i = 0;
  while (i < text.size()) {
    const unsigned char first = text[i++];
    if (first < 0x80) continue;
    const int more = first >= 0xc2 && first < 0xe0   ? 1
                     : first >= 0xe0 && first < 0xf0 ? 2
                     : first >= 0xf0 && first < 0xf5 ? 3
                                                     : 0;
    if (more == 0 || text.size() - i < static_cast<size_t>(more)) return false;
    // The second byte's range excludes overlong forms, surrogates and what lies above U+10FFFF.
    const unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    const unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    const unsigned char second = text[i];
    if (second < low || second > high) return false;
    for (int k = 1; k < more; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xc0) != 0x80) return false;
    }
    i += more;
  }
  return true;
}

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(const std::string& path, const std::string& text,
                                                         uint64_t data_bytes) {
  const std::string subject = absl::StrCat("'", path, "': ");
  if (text.empty() || text[0] != '{') return WeightsError(subject + "the header does not begin with '{'");
  if (!IsUtf8(text)) return WeightsError(subject + "the header is not valid UTF-8");
  // The parser would skip any white space at the end, and takes a NUL byte for the end.
  const size_t last = text.find_last_not_of(' ');
  if (text[last] != '}' || text.find('\0') != std::string::npos) {
    return WeightsError(subject + "the header is not one JSON object followed by spaces only");
  }

  HeaderReader reader;
  json::sax_parse(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(last) + 1, &reader);
  if (reader.rule() != 0) return WeightsError(subject + reader.message());

  SafetensorsHeader header;
  header.metadata = std::move(reader.metadata());
  for (RawEntry& raw : reader.entries()) {
    LANTHORN_ASSIGN_OR_RETURN(SafetensorsEntry entry, CheckEntry(path, raw));
    header.entries.push_back(std::move(entry));
  }
  // Empty tensors lie at the begin of their neighbour, so they sort before it; equal ones by name, to be repeatable.
  std::sort(header.entries.begin(), header.entries.end(), [](const SafetensorsEntry& a, const SafetensorsEntry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  LANTHORN_RETURN_IF_ERROR(CheckTiling(path, header.entries, data_bytes));
  return header;
}

}  // namespace lanthorn
