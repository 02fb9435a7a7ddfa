// How the tokens of a text are read and kept. Needs no LibTorch: the runner has it too.
#pragma once

#include <cstdint>
#include <string>

namespace lanthorn::data {

enum class TokenKind { kCharacters, kWords };
// What becomes of carriage returns: kept as characters, or CR LF and a lone CR read as LF.
enum class Newlines { kKeep, kLf };

struct TokenFileOptions {
  TokenKind kind = TokenKind::kCharacters;
  Newlines newlines = Newlines::kKeep;
  // Not empty: nobody chose what becomes of carriage returns, and a text of characters that holds some is refused with
  // a message that names the option `newlines` of this section.
  std::string newlines_option_of;
  std::string expected_sha256;                  // empty: not compared
  int64_t keep_from_bytes = int64_t{16} << 20;  // shorter texts are read anew each time; negative: all are
  std::string other_folder;  // where the file goes if the text's folder cannot be written; may be empty
};

}  // namespace lanthorn::data
