#include "engine/study/database.h"

#include "engine/study/postgres_database.h"
#include "engine/study/sqlite_database.h"

namespace lanthorn {

absl::StatusOr<std::unique_ptr<Database>> OpenDatabase(const std::string& url) {
  constexpr char kSqlite[] = "sqlite:";
  if (url.starts_with(kSqlite)) return OpenSqlite(url.substr(sizeof kSqlite - 1));
  if (url.starts_with("postgresql://") || url.starts_with("postgres://")) return OpenPostgres(url);
  return ConfigError(absl::StrCat("database '", WithoutPassword(url),
                                  "': only postgresql://USER@HOST:PORT/NAME and sqlite:PATH are known"));
}

std::string WithoutPassword(const std::string& given) {
  std::string url = given;
  const auto start = url.find("://");
  if (start == std::string::npos) return url;
  constexpr char kParameter[] = "password=";
  if (const auto from = url.find(kParameter); from != std::string::npos) {
    const auto to = url.find('&', from);
    url.replace(from, to == std::string::npos ? to : to - from, absl::StrCat(kParameter, "..."));
  }
  const auto end = url.find_first_of("/?", start + 3);
  const auto at = url.substr(0, end).rfind('@');
  const auto colon = url.find(':', start + 3);
  if (at == std::string::npos || colon == std::string::npos || colon > at) return url;
  return url.substr(0, colon) + url.substr(at);
}

}  // namespace lanthorn
