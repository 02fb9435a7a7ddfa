// Calls of engine functions that are described by a signature in ATen's schema grammar, such as layers and optimisers.
#pragma once

#include <string>
#include <vector>

#include "bindings/ops/schema.h"

namespace lanthorn::lua {

struct NamedSignature {
  std::string text;  // "Linear(int in_features, ...)"
  Signature signature;
};

// Parses "name(arguments)"; the text is ours, so a mistake in it throws.
NamedSignature ParseSignature(const std::string& text);

// "nn.Linear: argument 'out_features' (int) is missing (nn.Linear(int in_features, ...))": what is wrong with a call,
// then how it is to be made. `who` is what stands before the name, such as "nn.".
std::string Misfit(const std::string& who, const NamedSignature& signature, const std::string& why);

// Reads the arguments from stack index `first` on. One table gives them all: its list part by position, its string keys
// by name. Raises Misfit. [-0, +0, e]
std::vector<c10::IValue> ReadCall(lua_State* L, int first, const NamedSignature& signature, const std::string& who);

}  // namespace lanthorn::lua
