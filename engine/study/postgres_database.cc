#include "engine/study/postgres_database.h"

#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "engine/base/quiet_thread.h"

namespace lanthorn {
namespace {

constexpr int kConnectS = 5;
constexpr std::chrono::seconds kStatement{10};

// Closes the connection under a statement that takes too long, so that it fails rather than waits. A server that stands
// still, or a network that swallows packets, gives no other sign.
class Deadline {
 public:
  Deadline(int socket, std::chrono::seconds limit) {
    thread_ = StartQuietThread([this, socket, limit] {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, limit, [this] { return done_; })) return;
      passed_ = true;
      shutdown(socket, SHUT_RDWR);
    });
  }
  ~Deadline() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    wake_.notify_all();
    thread_.join();
  }
  bool passed() const { return passed_; }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool done_ = false;
  std::atomic<bool> passed_ = false;
  std::thread thread_;
};

// SOCI's what() holds the statement and its values too.
std::string TextOf(const std::exception& error) {
  const auto* own = dynamic_cast<const soci::soci_error*>(&error);
  return own == nullptr ? error.what() : own->get_error_message();
}

// A connection that is being made. SOCI asks the server something while it connects, which libpq's connect_timeout does
// not cover: whoever waits leaves at his own time, and the thread ends when the server lets it.
struct Connecting {
  std::mutex mutex;
  std::condition_variable wake;
  std::unique_ptr<soci::session> session;
  std::string error;
  bool done = false;

  void Run(const std::string& parameters) {
    std::unique_ptr<soci::session> made;
    std::string message;
    try {
      made = std::make_unique<soci::session>(soci::postgresql, parameters);
    } catch (const std::exception& e) {
      message = TextOf(e);
    }
    std::lock_guard lock(mutex);
    session = std::move(made);
    error = message;
    done = true;
    wake.notify_all();
  }
};

std::map<std::string, std::string> ReadUrl(const std::string& url) {
  std::map<std::string, std::string> found;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), nullptr);
  for (const auto* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    if (option->val != nullptr) found[option->keyword] = option->val;
  }
  PQconninfoFree(options);
  return found;
}

// The form that libpq takes besides URLs, in which any value can be written.
std::string Parameters(std::map<std::string, std::string> values) {
  values.try_emplace("connect_timeout", absl::StrCat(kConnectS));
  std::string text;
  for (const auto& [key, value] : values) {
    const std::string escaped = absl::StrReplaceAll(value, {{"\\", "\\\\"}, {"'", "\\'"}});
    absl::StrAppend(&text, text.empty() ? "" : " ", key, "='", escaped, "'");
  }
  return text;
}

// As the server reads it: it infers the type from where the parameter stands.
std::string TextOf(const DatabaseValue& value) {
  if (const auto* integer = std::get_if<int64_t>(&value)) return absl::StrCat(*integer);
  if (const auto* number = std::get_if<double>(&value)) {
    char text[32];
    snprintf(text, sizeof text, "%.17g", *number);
    return text;
  }
  const auto* text = std::get_if<std::string>(&value);
  return text == nullptr ? "" : *text;
}

DatabaseValue ValueOf(const soci::row& row, std::size_t i) {
  if (row.get_indicator(i) == soci::i_null) return std::monostate{};
  switch (row.get_properties(i).get_data_type()) {
    case soci::dt_double:
      return row.get<double>(i);
    case soci::dt_integer:
      return static_cast<int64_t>(row.get<int>(i));
    case soci::dt_long_long:
      return static_cast<int64_t>(row.get<long long>(i));
    default:
      return row.get<std::string>(i);
  }
}

// PostgreSQL's message without what SOCI tells of it, on one line.
std::string Told(std::string message) {
  for (const char* prefix : {"Cannot establish connection to the database.", "Cannot execute query.",
                             "Cannot prepare statement.", "Fatal error."}) {
    if (absl::StartsWith(message, prefix)) message.erase(0, std::string(prefix).size());
  }
  std::vector<std::string> lines;
  for (absl::string_view line : absl::StrSplit(message, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (!line.empty()) lines.emplace_back(line);
  }
  return absl::StrJoin(lines, "; ");
}

class Postgres : public Database {
 public:
  explicit Postgres(const std::string& url) : name_(PostgresName(url)), parameters_(Parameters(ReadUrl(url))) {}

  absl::StatusOr<std::vector<DatabaseRow>> Execute(const std::string& sql,
                                                   const std::vector<DatabaseValue>& parameters) override {
    const bool is_old = session_ != nullptr;
    auto rows = Try(sql, parameters);
    // A server that was started again has closed the connections of before.
    if (is_old && !session_ && !timed_out_ && !interrupted_ && !rows.ok()) rows = Try(sql, parameters);
    return rows;
  }

  void Disconnect() override {
    KeepSocket(-1);
    session_.reset();
  }

  void Interrupt() override {
    std::lock_guard lock(socket_mutex_);
    interrupted_ = true;
    if (socket_ >= 0) shutdown(socket_, SHUT_RDWR);
    if (connecting_) {
      std::lock_guard waiting(connecting_->mutex);
      connecting_->wake.notify_all();
    }
  }

 private:
  PGconn* Connection() { return static_cast<soci::postgresql_session_backend*>(session_->get_backend())->conn_; }

  void KeepSocket(int socket) {
    std::lock_guard lock(socket_mutex_);
    socket_ = socket;
  }

  absl::StatusOr<std::vector<DatabaseRow>> Try(const std::string& sql, const std::vector<DatabaseValue>& parameters) {
    timed_out_ = false;
    try {
      if (!session_) LANTHORN_RETURN_IF_ERROR(Connect());
      const Deadline deadline(PQsocket(Connection()), kStatement);
      try {
        return Run(sql, parameters);
      } catch (const std::exception&) {
        timed_out_ = deadline.passed();
        throw;
      }
    } catch (const std::exception& error) {
      return Failure(TextOf(error));
    }
  }

  absl::Status Connect() {
    auto connecting = std::make_shared<Connecting>();
    {
      std::lock_guard lock(socket_mutex_);
      connecting_ = connecting;
    }
    StartQuietThread([connecting, parameters = parameters_] { connecting->Run(parameters); }).detach();
    {
      std::unique_lock lock(connecting->mutex);
      connecting->wake.wait_for(lock, std::chrono::seconds(kConnectS + 1),
                                [&] { return connecting->done || interrupted_; });
      session_ = std::move(connecting->session);
    }
    {
      std::lock_guard lock(socket_mutex_);
      connecting_ = nullptr;
    }
    if (!session_) {
      return absl::UnavailableError(absl::StrCat(
          "database '", name_,
          "': ", connecting->done ? Told(connecting->error) : absl::StrCat("no answer within ", kConnectS + 1, " s")));
    }
    KeepSocket(PQsocket(Connection()));
    // What the server says beside errors is not for the terminal.
    PQsetNoticeProcessor(
        Connection(), [](void*, const char*) {}, nullptr);
    return absl::OkStatus();
  }

  std::vector<DatabaseRow> Run(const std::string& sql, const std::vector<DatabaseValue>& parameters) {
    std::vector<std::string> texts;
    std::vector<soci::indicator> nulls;
    for (const DatabaseValue& value : parameters) {
      texts.push_back(TextOf(value));
      nulls.push_back(std::holds_alternative<std::monostate>(value) ? soci::i_null : soci::i_ok);
    }
    soci::statement statement(*session_);
    soci::row row;
    const bool gives_rows = absl::StartsWithIgnoreCase(sql, "SELECT") || absl::StrContains(sql, "RETURNING ");
    if (gives_rows) statement.exchange(soci::into(row));
    for (std::size_t i = 0; i < texts.size(); ++i) {
      // A parameter that this statement does not name must not be given.
      const std::string name = absl::StrCat("p", i + 1);
      if (absl::StrContains(sql, ":" + name)) statement.exchange(soci::use(texts[i], nulls[i], name));
    }
    statement.alloc();
    statement.prepare(sql);
    statement.define_and_bind();
    std::vector<DatabaseRow> rows;
    for (bool more = statement.execute(/*withDataExchange=*/true) && gives_rows; more; more = statement.fetch()) {
      DatabaseRow values(row.size());
      for (std::size_t i = 0; i < values.size(); ++i) values[i] = ValueOf(row, i);
      rows.push_back(std::move(values));
    }
    return rows;
  }

  absl::Status Failure(const std::string& message) {
    const std::string where = absl::StrCat("database '", name_, "': ");
    const bool is_lost = !session_ || timed_out_ || PQstatus(Connection()) == CONNECTION_BAD;
    if (is_lost) Disconnect();
    if (timed_out_) return absl::UnavailableError(absl::StrCat(where, "no answer within ", kStatement.count(), " s"));
    if (is_lost) return absl::UnavailableError(where + Told(message));
    return MachineError(where + Told(message));
  }

  const std::string name_, parameters_;
  std::unique_ptr<soci::session> session_;
  std::mutex socket_mutex_;  // of the three that Interrupt uses
  int socket_ = -1;
  std::shared_ptr<Connecting> connecting_;
  std::atomic<bool> interrupted_ = false;
  bool timed_out_ = false;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> OpenPostgres(const std::string& url) {
  char* problem = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &problem);
  PQfreemem(problem);
  if (options == nullptr) {
    // The message may quote a part of the URL, which may be the password.
    return ConfigError(
        "a database's URL cannot be read; expected postgresql://USER:PASSWORD@HOST:PORT/NAME, with "
        "%XX for what is not a letter or digit");
  }
  PQconninfoFree(options);
  return std::make_unique<Postgres>(url);
}

std::string PostgresName(const std::string& url) {
  auto values = ReadUrl(url);
  std::string name = "postgresql://";
  if (values.contains("user")) absl::StrAppend(&name, values["user"], "@");
  absl::StrAppend(&name, values["host"]);
  if (values.contains("port")) absl::StrAppend(&name, ":", values["port"]);
  return absl::StrCat(name, "/", values["dbname"]);
}

}  // namespace lanthorn
