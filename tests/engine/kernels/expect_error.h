// A fused operator's refusal.
#pragma once

#include <c10/util/Exception.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace lanthorn::kernels {

// run() must raise a c10::Error that begins with "[tag] " and says `words`.
inline void ExpectError(const std::string& tag, const std::string& words, const std::function<void()>& run) {
  try {
    run();
    ADD_FAILURE() << "expected: " << words;
  } catch (const c10::Error& error) {
    const std::string text = error.what_without_backtrace();
    EXPECT_EQ(text.rfind("[" + tag + "] ", 0), 0u) << text;
    EXPECT_NE(text.find(words), std::string::npos) << text;
  }
}

}  // namespace lanthorn::kernels
