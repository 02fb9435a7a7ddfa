// PostgreSQL, through SOCI.
#pragma once

#include <memory>
#include <string>

#include "engine/study/database.h"

namespace lanthorn {

// Connects at the first statement, within 5 s; a statement has 10 s.
std::unique_ptr<Database> OpenPostgres(const std::string& url);

}  // namespace lanthorn
