#include "engine/data/text/text_file.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_format.h"

namespace lanthorn::data {
namespace {

constexpr int64_t kLookAt = 64 << 10;  // bytes at the beginning that decide between UTF-8 and UTF-16
constexpr int64_t kLeast = 32;         // fewer bytes decide nothing

struct Mark {
  std::string_view bytes, encoding;
};
// UTF-32 first: its little-endian mark begins with that of UTF-16.
constexpr Mark kMarks[] = {{std::string_view("\xFF\xFE\0\0", 4), "UTF-32"},
                           {std::string_view("\0\0\xFE\xFF", 4), "UTF-32"},
                           {std::string_view("\xFF\xFE", 2), "UTF-16"},
                           {std::string_view("\xFE\xFF", 2), "UTF-16"}};

const char* Find(char byte, const char* begin, const char* end) {
  const void* const found = begin == end ? nullptr : std::memchr(begin, byte, static_cast<size_t>(end - begin));
  return found == nullptr ? end : static_cast<const char*>(found);
}

absl::Status WrongEncoding(const std::string& why, std::string_view encoding) {
  const std::string name(encoding);
  return DataError(
      absl::StrFormat("the text is %s, expected UTF-8 (%s); convert it with iconv -f %s -t UTF-8", name, why, name));
}

// Which of UTF-16 and UTF-32 has NULs at these offsets modulo 4; empty for none. Spaces, digits and line ends at least
// have upper bytes of 0 in a text of any alphabet.
std::string_view EncodingOf(const std::array<int64_t, 4>& nul_at, int64_t bytes) {
  const auto share = [&](size_t one, size_t other) {  // of the bytes at these offsets
    return static_cast<double>(nul_at[one] + nul_at[other]) / (static_cast<double>(bytes) / 2);
  };
  constexpr double kMost = 0.9, kSome = 0.1, kFew = 0.02;
  if (share(2, 3) > kMost && share(1, 1) > kSome && share(0, 0) < kFew) return "UTF-32LE";
  if (share(0, 1) > kMost && share(2, 2) > kSome && share(3, 3) < kFew) return "UTF-32BE";
  if (share(1, 3) > kSome && share(0, 2) < kFew) return "UTF-16LE";
  if (share(0, 2) > kSome && share(1, 3) < kFew) return "UTF-16BE";
  return {};
}

}  // namespace

absl::Status TextInspector::CheckEncoding() const {
  if (looked_at_ < kLeast) return absl::OkStatus();
  const std::string_view encoding = EncodingOf(nul_at_, looked_at_);
  if (encoding.empty()) return absl::OkStatus();
  const int64_t nuls = nul_at_[0] + nul_at_[1] + nul_at_[2] + nul_at_[3];
  return WrongEncoding(
      absl::StrFormat("%d of its first %d bytes are NUL, and there is no byte order mark", nuls, looked_at_), encoding);
}

absl::Status TextInspector::Take(const char* bytes, size_t size) {
  const char* const end = bytes + size;
  if (head_.size() < 4) {
    head_.append(bytes, std::min(size, 4 - head_.size()));
    findings_.has_mark = head_.compare(0, 3, "\xEF\xBB\xBF") == 0;
    // A first piece of two bytes may still become a mark of UTF-32; Finish looks again.
    if (head_.size() == 4) {
      for (const Mark& mark : kMarks) {
        if (head_.compare(0, mark.bytes.size(), mark.bytes) == 0)
          return WrongEncoding("it begins with a byte order mark", mark.encoding);
      }
    }
  }
  if (after_cr_ && size > 0) ++(*bytes == '\n' ? findings_.crlf : findings_.cr);
  for (const char* at = Find('\r', bytes, end); at != end; at = Find('\r', at + 1, end)) {
    if (at + 1 < end) ++(at[1] == '\n' ? findings_.crlf : findings_.cr);
  }
  if (size > 0) after_cr_ = end[-1] == '\r';
  if (!findings_.has_line_feed) findings_.has_line_feed = Find('\n', bytes, end) != end;

  const bool looks = looked_at_ < kLookAt;
  for (const char* at = Find('\0', bytes, end); at != end; at = Find('\0', at + 1, end)) {
    const int64_t offset = findings_.bytes + (at - bytes);
    if (findings_.nul++ == 0) findings_.first_nul = offset;
    if (offset < kLookAt) ++nul_at_[static_cast<size_t>(offset % 4)];
  }
  findings_.bytes += static_cast<int64_t>(size);
  looked_at_ = std::min(findings_.bytes, kLookAt);
  return looks && looked_at_ == kLookAt ? CheckEncoding() : absl::OkStatus();
}

absl::Status TextInspector::Finish() {
  if (after_cr_) ++findings_.cr;
  after_cr_ = false;
  if (head_.size() < 4) {
    for (const Mark& mark : kMarks) {
      if (head_.compare(0, mark.bytes.size(), mark.bytes) == 0)
        return WrongEncoding("it begins with a byte order mark", mark.encoding);
    }
  }
  LANTHORN_RETURN_IF_ERROR(CheckEncoding());
  if (findings_.nul == 0) return absl::OkStatus();
  return DataError(absl::StrFormat(
      "the text holds %d NUL byte%s, the first at byte %d, and a text has none; remove %s, "
      "such as with tr -d '\\000'",
      findings_.nul, findings_.nul == 1 ? "" : "s", findings_.first_nul, findings_.nul == 1 ? "it" : "them"));
}

std::string DescribeCarriageReturns(const TextFindings& findings) {
  const auto lines = [](int64_t count) { return absl::StrFormat("%d line%s", count, count == 1 ? " ends" : "s end"); };
  if (findings.crlf > 0 && findings.cr > 0)
    return absl::StrFormat("%s with CR LF and %d with CR alone", lines(findings.crlf), findings.cr);
  if (findings.crlf > 0) return lines(findings.crlf) + " with CR LF";
  if (findings.cr > 0) return lines(findings.cr) + " with CR alone";
  return "";
}

absl::Status RefuseCarriageReturns(const TextFindings& findings, const std::string& section) {
  const std::string found = DescribeCarriageReturns(findings);
  if (found.empty()) return absl::OkStatus();
  return DataError(
      absl::StrFormat("%s; %s.newlines=lf converts each to LF, %s.newlines=keep trains on the carriage returns", found,
                      section, section));
}

std::string NoteOf(const TextFindings& findings) {
  std::string note;
  if (findings.has_mark) note = "begins with a byte order mark, which is left out";
  if (!findings.has_line_feed && findings.crlf == 0 && findings.cr == 0 && findings.bytes > 0)
    absl::StrAppend(&note, note.empty() ? "" : "; ", "is a single line without a line end");
  return note;
}

}  // namespace lanthorn::data
