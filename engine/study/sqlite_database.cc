#include "engine/study/sqlite_database.h"

#include <sqlite3.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace lanthorn {
namespace {

constexpr int kBusyMs = 5000;

// Magic numbers of statfs(2).
constexpr std::pair<uint32_t, const char*> kNetworks[] = {
    {0x6969, "NFS"},        {0x517B, "SMB"},        {0xFE534D42, "SMB"},   {0xFF534D42, "CIFS"},
    {0x5346414F, "AFS"},    {0x0BD00BD0, "Lustre"}, {0x47504653, "GPFS"},  {0x00C36400, "Ceph"},
    {0x19830326, "BeeGFS"}, {0x65735546, "FUSE"},   {0x7461636F, "OCFS2"}, {0x01161970, "GFS2"}};

const char* NetworkOf(const std::string& path) {
  const auto slash = path.rfind('/');
  struct statfs about;
  if (statfs(slash == std::string::npos ? "." : path.substr(0, slash + 1).c_str(), &about) != 0) return nullptr;
  const auto* network = std::find_if(std::begin(kNetworks), std::end(kNetworks), [&](const auto& known) {
    return known.first == static_cast<uint32_t>(about.f_type);
  });
  return network == std::end(kNetworks) ? nullptr : network->second;
}

class Sqlite : public Database {
 public:
  explicit Sqlite(std::string path) : path_(std::move(path)) {}
  ~Sqlite() override { sqlite3_close(handle_); }

  absl::Status Open() {
    // One thread at a time uses it: SQLite's own locks against others are not needed.
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(path_.c_str(), &handle_, flags, nullptr) != SQLITE_OK) return Failure();
    sqlite3_busy_timeout(handle_, kBusyMs);
    // Readers and one writer at a time; what a power cut takes is in the files that it was made from.
    for (const char* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=NORMAL"}) {
      if (const auto rows = Execute(sql, {}); !rows.ok()) return rows.status();
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<DatabaseRow>> Execute(const std::string& sql,
                                                   const std::vector<DatabaseValue>& parameters) override {
    sqlite3_stmt* prepared = nullptr;
    if (sqlite3_prepare_v2(handle_, sql.c_str(), -1, &prepared, nullptr) != SQLITE_OK) return Failure();
    const std::unique_ptr<sqlite3_stmt, int (*)(sqlite3_stmt*)> statement(prepared, &sqlite3_finalize);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const int at = sqlite3_bind_parameter_index(prepared, absl::StrCat(":p", i + 1).c_str());
      if (at > 0 && Bind(prepared, at, parameters[i]) != SQLITE_OK) return Failure();
    }
    std::vector<DatabaseRow> rows;
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(prepared)) == SQLITE_ROW) rows.push_back(RowOf(prepared));
    if (code != SQLITE_DONE) return Failure();
    return rows;
  }

  void Interrupt() override { sqlite3_interrupt(handle_); }

 private:
  static int Bind(sqlite3_stmt* statement, int at, const DatabaseValue& value) {
    if (const auto* integer = std::get_if<int64_t>(&value)) return sqlite3_bind_int64(statement, at, *integer);
    if (const auto* number = std::get_if<double>(&value)) return sqlite3_bind_double(statement, at, *number);
    if (const auto* text = std::get_if<std::string>(&value)) {
      return sqlite3_bind_text(statement, at, text->data(), static_cast<int>(text->size()), SQLITE_TRANSIENT);
    }
    return sqlite3_bind_null(statement, at);
  }

  static DatabaseRow RowOf(sqlite3_stmt* statement) {
    DatabaseRow row(sqlite3_column_count(statement));
    for (int i = 0; i < static_cast<int>(row.size()); ++i) {
      switch (sqlite3_column_type(statement, i)) {
        case SQLITE_INTEGER:
          row[i] = static_cast<int64_t>(sqlite3_column_int64(statement, i));
          break;
        case SQLITE_FLOAT:
          row[i] = sqlite3_column_double(statement, i);
          break;
        case SQLITE_NULL:
          break;
        default:  // the text first: it decides how many bytes there are
          const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, i));
          row[i] = std::string(text, sqlite3_column_bytes(statement, i));
      }
    }
    return row;
  }

  absl::Status Failure() const {
    const int code = sqlite3_errcode(handle_);
    const std::string message = absl::StrCat("database '", path_, "': ", sqlite3_errmsg(handle_));
    if (code == SQLITE_BUSY || code == SQLITE_LOCKED || code == SQLITE_INTERRUPT)
      return absl::UnavailableError(message);
    return MachineError(message);
  }

  const std::string path_;
  sqlite3* handle_ = nullptr;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> OpenSqlite(const std::string& path) {
  if (const char* network = NetworkOf(path)) {
    return ConfigError(absl::StrCat("database '", path, "': it would be on a network file system (", network,
                                    "), where SQLite's locks do not hold"));
  }
  auto database = std::make_unique<Sqlite>(path);
  LANTHORN_RETURN_IF_ERROR(database->Open());
  return database;
}

}  // namespace lanthorn
