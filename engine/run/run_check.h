// What is wrong with the files of a run directory, checkpoints apart.
#pragma once

#include <string>
#include <vector>

namespace lanthorn {

// One text per problem, empty when there is none: manifest, config and its hash, sources and their hash, metrics, exit.
// A run that is only just claimed has no config yet.
std::vector<std::string> CheckRunFiles(const std::string& run_folder);

}  // namespace lanthorn
