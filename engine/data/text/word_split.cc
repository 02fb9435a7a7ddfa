#include "engine/data/text/word_split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <memory>

#include "absl/strings/str_format.h"

namespace lanthorn::data {
namespace {

constexpr char kPattern[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

struct Free {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};

const pcre2_code* Pattern() {
  static const std::unique_ptr<pcre2_code, Free> pattern = [] {
    int error = 0;
    PCRE2_SIZE at = 0;
    std::unique_ptr<pcre2_code, Free> code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(kPattern), PCRE2_ZERO_TERMINATED,
                                                         PCRE2_UTF | PCRE2_UCP, &error, &at, nullptr));
    LANTHORN_CHECK(code != nullptr);
    pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);  // where it cannot, matching is slower and the same
    return code;
  }();
  return pattern.get();
}

}  // namespace

absl::Status ForPieces(std::string_view text, const std::function<void(std::string_view)>& take) {
  const pcre2_code* const pattern = Pattern();
  const std::unique_ptr<pcre2_match_data, Free> match(pcre2_match_data_create_from_pattern(pattern, nullptr));
  uint32_t options = 0;  // the first match looks whether all of it is UTF-8
  for (size_t at = 0; at < text.size();) {
    const int found =
        pcre2_match(pattern, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), at, options, match.get(), nullptr);
    if (found < 0) {
      if (found <= PCRE2_ERROR_UTF8_ERR1 && found >= PCRE2_ERROR_UTF8_ERR21)
        return DataError(absl::StrFormat("text is not UTF-8 at byte %d", pcre2_get_startchar(match.get())));
      return DataError(absl::StrFormat("a text cannot be split into words at byte %d (PCRE2 error %d)", at, found));
    }
    options = PCRE2_NO_UTF_CHECK;
    const PCRE2_SIZE* const ends = pcre2_get_ovector_pointer(match.get());
    take(text.substr(ends[0], ends[1] - ends[0]));
    at = ends[1];
  }
  return absl::OkStatus();
}

}  // namespace lanthorn::data
