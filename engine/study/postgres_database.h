// PostgreSQL, through SOCI.
#pragma once

#include <memory>
#include <string>

#include "engine/study/database.h"

namespace lanthorn {

// Connects at the first statement, within 6 s; a statement has 10 s. ConfigError when the URL cannot be read.
absl::StatusOr<std::unique_ptr<Database>> OpenPostgres(const std::string& url);

// User, host, port and database of a URL, as a URL.
std::string PostgresName(const std::string& url);

}  // namespace lanthorn
