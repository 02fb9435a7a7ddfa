// SQLite, by its C interface.
#pragma once

#include <memory>
#include <string>

#include "engine/study/database.h"

namespace lanthorn {

// Opens or makes a file. ConfigError on a network file system, where SQLite's locks do not hold; MachineError when the
// file cannot be opened or is not a database.
absl::StatusOr<std::unique_ptr<Database>> OpenSqlite(const std::string& path);

}  // namespace lanthorn
