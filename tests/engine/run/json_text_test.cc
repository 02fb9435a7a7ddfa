#include "engine/run/json_text.h"

#include <gtest/gtest.h>

namespace lanthorn {
namespace {

using nlohmann::json;

TEST(JsonText, OfBytesThatAreNotUtf8IsJsonAndLosesNone) {
  const std::string every = [] {
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes.push_back(static_cast<char>(i));
    return bytes;
  }();
  const json values = {{"name", "caf\xE9.txt"},
                       {"list", {"\xFF", std::string("\0" "41", 3), "caf\xC3\xA9", "\xC3", "\xED\xA0\x80", every}},
                       {"key \xFE", {{"deep", "\xF0\x9F\x8E"}}},
                       {"number", 0.1}};
  const std::string text = EncodeBytes(values).dump();  // which refuses what is not UTF-8
  EXPECT_EQ(DecodeBytes(json::parse(text)), values);
}

TEST(JsonText, OfUtf8IsThatText) {
  const json values = {{"name", "caf\xC3\xA9 \xF0\x9F\x8E\xB2"}, {"empty", ""}};
  EXPECT_EQ(EncodeBytes(values), values);
  EXPECT_EQ(DecodeBytes(values), values);
  EXPECT_EQ(EncodeBytes("caf\xE9"), json("caf" + std::string("\0", 1) + "e9"));
}

TEST(JsonText, ThatNobodyEncodedIsReadAsItStands) {
  for (const std::string& text : {std::string("\0", 1), std::string("\0zz", 3), std::string("a\0" "4", 3)})
    EXPECT_EQ(DecodeBytes(json(text)), json(text));
}

}  // namespace
}  // namespace lanthorn
