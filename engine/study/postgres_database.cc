#include "engine/study/postgres_database.h"

#include <signal.h>
#include <soci/postgresql/soci-postgresql.h>
#include <soci/soci.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace lanthorn {
namespace {

constexpr int kConnectS = 5;
constexpr std::chrono::seconds kStatement{10};

// Closes the connection under a statement that takes too long, so that it fails rather than waits. A server that stands
// still, or a network that swallows packets, gives no other sign.
class Deadline {
 public:
  Deadline(int socket, std::chrono::seconds limit) {
    sigset_t all, before;  // signals are for the main thread
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this, socket, limit] {
      std::unique_lock lock(mutex_);
      if (wake_.wait_for(lock, limit, [this] { return done_; })) return;
      passed_ = true;
      shutdown(socket, SHUT_RDWR);
    });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
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

std::string WithConnectTimeout(const std::string& url) {
  if (absl::StrContains(url, "connect_timeout=")) return url;
  return absl::StrCat(url, absl::StrContains(url, "?") ? "&" : "?", "connect_timeout=", kConnectS);
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
std::string Told(const soci::soci_error& error) {
  std::string message = error.get_error_message();
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
  explicit Postgres(std::string url) : url_(std::move(url)) {}

  absl::StatusOr<std::vector<DatabaseRow>> Execute(const std::string& sql,
                                                   const std::vector<DatabaseValue>& parameters) override {
    const bool is_old = session_.has_value();
    auto rows = Try(sql, parameters);
    // A server that was started again has closed the connections of before.
    if (is_old && !session_.has_value() && !timed_out_ && !rows.ok()) rows = Try(sql, parameters);
    return rows;
  }

  void Disconnect() override {
    KeepSocket(-1);
    session_.reset();
  }

  void Interrupt() override {
    std::lock_guard lock(socket_mutex_);
    if (socket_ >= 0) shutdown(socket_, SHUT_RDWR);
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
      if (!session_) Connect();
      const Deadline deadline(PQsocket(Connection()), kStatement);
      try {
        return Run(sql, parameters);
      } catch (const soci::soci_error& error) {
        timed_out_ = deadline.passed();
        throw;
      }
    } catch (const soci::soci_error& error) {
      return Failure(error);
    }
  }

  void Connect() {
    session_.emplace(soci::postgresql, WithConnectTimeout(url_));
    KeepSocket(PQsocket(Connection()));
    // What the server says beside errors is not for the terminal.
    PQsetNoticeProcessor(
        Connection(), [](void*, const char*) {}, nullptr);
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
    const bool gives_rows = absl::StartsWithIgnoreCase(sql, "SELECT") || absl::StrContains(sql, " RETURNING ");
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

  absl::Status Failure(const soci::soci_error& error) {
    const std::string where = absl::StrCat("database '", WithoutPassword(url_), "': ");
    const bool is_lost = !session_ || timed_out_ || PQstatus(Connection()) == CONNECTION_BAD;
    if (is_lost) Disconnect();
    if (timed_out_) return absl::UnavailableError(absl::StrCat(where, "no answer within ", kStatement.count(), " s"));
    if (is_lost) return absl::UnavailableError(where + Told(error));
    return MachineError(where + Told(error));
  }

  const std::string url_;
  std::optional<soci::session> session_;
  std::mutex socket_mutex_;
  int socket_ = -1;
  bool timed_out_ = false;
};

}  // namespace

std::unique_ptr<Database> OpenPostgres(const std::string& url) { return std::make_unique<Postgres>(url); }

}  // namespace lanthorn
