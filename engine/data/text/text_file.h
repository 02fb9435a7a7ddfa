// What the bytes of a text file are, found while they are read: line ends, byte order marks, NUL bytes, UTF-16.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "engine/base/status.h"

namespace lanthorn::data {

struct TextFindings {
  int64_t bytes = 0;
  int64_t crlf = 0;        // carriage returns before a line feed, ...
  int64_t cr = 0;          // ... and those that stand alone
  int64_t nul = 0;         // NUL bytes, of which the first is at ...
  int64_t first_nul = -1;  // ... this byte
  bool has_line_feed = false;
  bool has_mark = false;  // the byte order mark of UTF-8 at the beginning
};

// Takes a file in pieces; a few passes of memchr over each.
class TextInspector {
 public:
  // The next bytes of the file, every one of them once. DataError as soon as the first ones show UTF-16 or UTF-32, with
  // or without a byte order mark, and the command that converts it.
  absl::Status Take(const char* bytes, size_t size);
  // To be called at the end of the file. DataError for UTF-16 or UTF-32 of a short text, and for NUL bytes: how many,
  // where the first one is.
  absl::Status Finish();

  // DataError when what was taken so far is UTF-16 or UTF-32 without a mark: a better word for bytes that are not
  // UTF-8.
  absl::Status CheckEncoding() const;

  const TextFindings& findings() const { return findings_; }

 private:
  TextFindings findings_;
  std::array<int64_t, 4> nul_at_ = {};  // NULs at the beginning of the file whose offset is so much modulo 4
  int64_t looked_at_ = 0;               // bytes that nul_at_ is about
  std::string head_;                    // the first four bytes
  bool after_cr_ = false;               // the last byte was a carriage return
};

// "27 lines end with CR LF and 3 with CR alone"; empty when there is no carriage return.
std::string DescribeCarriageReturns(const TextFindings& findings);

// DataError for a text with carriage returns, which names both values of the option `section`.newlines.
absl::Status RefuseCarriageReturns(const TextFindings& findings, const std::string& section);

// What a user should know of a text that is taken: a byte order mark, no line end at all. Empty when there is nothing.
std::string NoteOf(const TextFindings& findings);

}  // namespace lanthorn::data
