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

// Reads the arguments from stack index `first` on. One table gives them all: its list part by position, its string keys
// by name. Raises with the signature and what does not fit; `who` is put in front ("nn."). [-0, +0, e]
std::vector<c10::IValue> ReadCall(lua_State* L, int first, const NamedSignature& signature, const std::string& who);

}  // namespace lanthorn::lua
