// The state of the user's git checkout, asked from the `git` program.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

namespace lanthorn {

// {commit s, branch s? (null when detached), dirty b}; null when `folder` is in no repository with a commit, git is
// missing, or it takes longer than 2 s. `dirty` counts tracked files only, and is true when git does not say.
nlohmann::json GitState(const std::string& folder);

// What differs from the commit, tracked files only, cut at `limit` bytes; empty when git does not answer.
std::string GitDiff(const std::string& folder, size_t limit);

}  // namespace lanthorn
