// GPT-2's pieces of a text, inside of which byte-level BPE merges: words with the space before them, numbers, runs of
// other signs, white space (Radford et al. 2019), by PCRE2 with Unicode's classes.
#pragma once

#include <functional>
#include <string_view>

#include "engine/base/status.h"

namespace lanthorn::data {

// Calls take(piece) for each in order; together they are the text. DataError for text that is not UTF-8, with the byte.
absl::Status ForPieces(std::string_view text, const std::function<void(std::string_view)>& take);

}  // namespace lanthorn::data
