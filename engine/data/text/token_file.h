// The tokens of a whole text file as numbers in memory that is mapped, not held: one byte a character for most texts.
//
// A long text's numbers are kept in a file beside it, so that the next training begins with them. Layout of that file,
// all integers little-endian:
//   0    Header (token_file.cc): magic, kind, newlines, width, counts, the text's bytes and sha256, checksum
//   128  count numbers of `width` bytes each, padded to 8
//        the byte of the text at which token 0, 4096, 8192 ... begins, uint64 each
//        each token's text: uint32 length, bytes
// The checksum is XXH3-64 over all behind the header and then the header with 0 in its place. A file that is cut short,
// damaged, of another text or of another version is made anew. It appears whole or not at all, so that several
// processes may read and write it at once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/base/status.h"
#include "engine/data/text/token_ids.h"
#include "engine/data/text/token_options.h"
#include "engine/data/text/token_scanner.h"

namespace lanthorn::data {

class TokenFile {
 public:
  // DataError for a text that is missing, is not UTF-8, holds NUL bytes or carriage returns that nobody asked for,
  // changed while it was read or is not the expected one; nothing is kept of it. A kept file that cannot be written is
  // only a note.
  static absl::StatusOr<std::shared_ptr<const TokenFile>> Open(const std::string& path,
                                                               const TokenFileOptions& options);

  const std::string& sha256() const { return sha256_; }
  int64_t text_bytes() const { return text_bytes_; }
  // Numbers in the order of appearance; index tokens() with them.
  const TokenIds& ids() const { return ids_; }
  const std::vector<std::string>& tokens() const { return tokens_; }

  // The place at or after byte `at` where the text may be cut: after a word, or between two characters.
  absl::StatusOr<int64_t> CutAt(int64_t at) const;
  // How many tokens begin before that byte.
  absl::StatusOr<int64_t> TokensBefore(int64_t byte) const;

  // Lets the system have the memory of what was read; it comes back from the file when it is needed.
  void Forget() const;

  const std::string& kept_in() const { return kept_in_; }  // the file beside the text, if any
  const std::string& note() const { return note_; }        // what a user should know of it; mostly empty
  // What a user should know of the text: line ends, a byte order mark; mostly empty.
  const std::string& text_note() const { return text_note_; }

 private:
  struct Mapping;
  friend class TokenFileMaker;

  TokenFileOptions options_;
  std::string path_, sha256_, kept_in_, note_, text_note_;
  int64_t text_bytes_ = 0;
  std::shared_ptr<const Mapping> mapping_;
  TokenIds ids_;
  std::vector<std::string> tokens_;
  std::vector<int64_t> marks_;
};

}  // namespace lanthorn::data
