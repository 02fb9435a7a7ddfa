// A database that knows of work which files hold: SQLite for one machine, PostgreSQL for several.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/status.h"

namespace lanthorn {

// NULL, or a value of SQL's bigint, double precision or text.
using DatabaseValue = std::variant<std::monostate, int64_t, double, std::string>;
using DatabaseRow = std::vector<DatabaseValue>;

// A connection. One thread uses it at a time; only Interrupt may be called from another one.
class Database {
 public:
  virtual ~Database() = default;

  // Runs one statement whose parameters are called :p1, :p2, … and gives its rows. A connection that was lost is opened
  // anew. absl::UnavailableError when the database does not answer in time, or is locked; MachineError when it refuses.
  virtual absl::StatusOr<std::vector<DatabaseRow>> Execute(const std::string& sql,
                                                           const std::vector<DatabaseValue>& parameters) = 0;

  // Gives the connection back until the next statement: a server has few of them.
  virtual void Disconnect() {}

  // Ends a statement that waits for the other side: it fails as unavailable.
  virtual void Interrupt() = 0;
};

// "sqlite:PATH", made where there is none, or "postgresql://USER@HOST:PORT/NAME" (libpq has more forms of it). Nothing
// is connected yet but SQLite's file.
absl::StatusOr<std::unique_ptr<Database>> OpenDatabase(const std::string& url);

// What a URL names, for messages: without its password, and nothing of what cannot be read.
std::string WithoutPassword(const std::string& url);

}  // namespace lanthorn
