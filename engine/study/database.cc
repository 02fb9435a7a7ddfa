#include "engine/study/database.h"

#include "engine/study/postgres_database.h"
#include "engine/study/sqlite_database.h"

namespace lanthorn {

namespace {

constexpr char kSqlite[] = "sqlite:";

bool IsPostgres(const std::string& url) { return url.starts_with("postgresql://") || url.starts_with("postgres://"); }

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> OpenDatabase(const std::string& url) {
  if (url.starts_with(kSqlite)) return OpenSqlite(url.substr(sizeof kSqlite - 1));
  if (IsPostgres(url)) return OpenPostgres(url);
  return ConfigError("a database is named by postgresql://USER@HOST:PORT/NAME, or by sqlite:PATH");
}

std::string WithoutPassword(const std::string& url) {
  if (url.starts_with(kSqlite)) return url;
  return IsPostgres(url) ? PostgresName(url) : "a database that is not known";
}

}  // namespace lanthorn
