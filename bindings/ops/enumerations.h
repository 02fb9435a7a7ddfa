// Integer arguments that stand for one of a few choices, for which PyTorch has words.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lanthorn::lua {

using Enumeration = std::vector<std::pair<const char*, int64_t>>;

// The words of an argument of a function ("aten::mse_loss", "Conv2d"), or nullptr. The answer lives as long as the
// process.
const Enumeration* FindEnumeration(const std::string& function, const std::string& argument);

// "'none', 'mean' or 'sum'"
std::string WordsOf(const Enumeration& enumeration);

// Whether the word is one of them; its number.
bool ReadWord(const Enumeration& enumeration, const std::string& word, int64_t* number);

}  // namespace lanthorn::lua
