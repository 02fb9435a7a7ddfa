// Escape sequences of ECMA-48: ESC [ parameters final (control), ESC ] text BEL or ESC \ (string; also ESC P X ^ _),
// ESC intermediates final (such as ESC ( B), and ESC with one final byte.
#include "engine/run/metrics/plain_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace lanthorn {
namespace {

constexpr char kEsc = '\x1b';
constexpr char kBel = '\x07';

bool StartsString(char c) { return c == ']' || c == 'P' || c == 'X' || c == '^' || c == '_'; }

}  // namespace

std::string AnsiStripper::Strip(const std::string& text) {
  std::string plain;
  plain.reserve(text.size());
  for (const char c : text) {
    if (c == '\n') state_ = State::kText;  // an unfinished sequence must not swallow the next line
    switch (state_) {
      case State::kText:
        if (c == kEsc)
          state_ = State::kEscape;
        else
          plain += c;
        break;
      case State::kEscape:
        state_ = c == '['               ? State::kControl
                 : StartsString(c)      ? State::kString
                 : c >= ' ' && c <= '/' ? State::kIntermediate
                                        : State::kText;
        break;
      case State::kIntermediate:
        if (c < ' ' || c > '/') state_ = State::kText;
        break;
      case State::kControl:
        if (c >= '@' && c <= '~') state_ = State::kText;
        break;
      case State::kString:
        if (c == kBel) state_ = State::kText;
        if (c == kEsc) state_ = State::kStringEscape;
        break;
      case State::kStringEscape:
        state_ = State::kText;
        break;
    }
  }
  return plain;
}

absl::StatusOr<PlainLog> PlainLog::Open(const std::string& path) {
  FileDescriptor fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
  if (!fd.valid()) return MachineError(ErrnoMessage(path, "cannot write", errno));
  return PlainLog(path, std::move(fd));
}

absl::Status PlainLog::Append(const std::string& text) {
  const std::string plain = stripper_.Strip(text);
  for (size_t done = 0; done < plain.size();) {
    const ssize_t put = write(fd_.get(), plain.data() + done, plain.size() - done);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return MachineError(ErrnoMessage(path_, "cannot write", errno));
    done += static_cast<size_t>(put);
  }
  return absl::OkStatus();
}

}  // namespace lanthorn
