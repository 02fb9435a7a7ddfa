// Line editing for the prompt through libedit's own interface. Its readline emulation is not used: that one sends
// SIGINT on to the whole process group.
#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "bindings/runner/host.h"
#include "engine/base/text/terminal.h"

namespace lanthorn::runner {
namespace {

struct Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  lua_State* state = nullptr;
  std::string prompt;
  std::optional<termios> terminal;  // as it was
  bool brackets = false;            // the terminal marks where a paste begins and ends
  std::deque<std::string> pasted;   // lines of a paste behind it
  std::string pasted_rest;          // what a paste has behind its last line's end
  int completer =
      LUA_NOREF;  // a Lua function: text up to the cursor -> list of whole-word candidates, length of the word
};

Editor& TheEditor() {
  static Editor editor;
  return editor;
}

char* Prompt(EditLine*) { return TheEditor().prompt.data(); }

// Reads one character; SIGINT ends the line, where libedit's own reader would try again.
int ReadCharacter(EditLine*, wchar_t* out) {
  mbstate_t state{};
  for (;;) {
    char byte = 0;
    const ssize_t n = read(STDIN_FILENO, &byte, 1);
    if (n == 0) return 0;
    if (n < 0) return -1;
    const std::size_t used = mbrtowc(out, &byte, 1, &state);
    if (used == static_cast<std::size_t>(-1)) memset(&state, 0, sizeof state);  // not valid here: skip the byte
    if (used <= 1) return 1;
  }
}

// Whether more has been typed already: what follows at once was pasted.
bool MoreIsThere(int milliseconds) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return poll(&input, 1, milliseconds) > 0;
}

// Asks the completer. Returns the candidates and sets the length of the word they replace.
std::vector<std::string> Candidates(lua_State* L, const std::string& text, std::size_t* word) {
  std::vector<std::string> found;
  lua_rawgeti(L, LUA_REGISTRYINDEX, TheEditor().completer);
  lua_pushlstring(L, text.data(), text.size());
  if (lua_pcall(L, 1, 2, 0) != 0) {  // a broken __index of the user must not end the line
    lua_pop(L, 1);
    return found;
  }
  *word = static_cast<std::size_t>(lua_tointeger(L, -1));
  for (int i = 1; lua_istable(L, -2); ++i) {
    lua_rawgeti(L, -2, i);
    if (!lua_isstring(L, -1)) {
      lua_pop(L, 1);
      break;
    }
    found.emplace_back(lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 2);
  return found;
}

constexpr char kPasteEnd[] = "\x1b[201~";

// The text of a paste, up to the mark of its end.
std::string ReadPaste() {
  std::string text;
  char byte = 0;
  while (!text.ends_with(kPasteEnd)) {
    if (read(STDIN_FILENO, &byte, 1) != 1) return text;
    text += byte == '\r' ? '\n' : byte;
  }
  text.resize(text.size() - (sizeof kPasteEnd - 1));
  return text;
}

// The terminal said that a paste begins. One without an end of line is typed in; of others each line is read on its
// own, without the keys having their meanings.
unsigned char Paste(EditLine* line, int) {
  Editor& editor = TheEditor();
  std::string text = ReadPaste();
  size_t end = text.find('\n');
  el_insertstr(line, text.substr(0, end).c_str());
  if (end == std::string::npos) return CC_REFRESH;
  for (text.erase(0, end + 1); (end = text.find('\n')) != std::string::npos; text.erase(0, end + 1))
    editor.pasted.push_back(text.substr(0, end));
  editor.pasted_rest = text;
  el_push(line, "\n");
  return CC_REFRESH;
}

// In columns as wide as the terminal, the first of them where there are very many.
std::string Columns(const std::vector<std::string>& words) {
  constexpr size_t kMost = 200;
  const size_t shown = std::min(words.size(), kMost);
  int widest = 0;
  for (size_t i = 0; i < shown; ++i) widest = std::max(widest, DisplayWidth(words[i]));
  const size_t across = static_cast<size_t>(std::max(1, TerminalColumns() / (widest + 2)));
  const size_t rows = (shown + across - 1) / across;
  std::string text;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = row; i < shown; i += rows) {
      text += words[i];
      if (i + rows < shown) text.append(static_cast<size_t>(widest + 2 - DisplayWidth(words[i])), ' ');
    }
    text += "\n";
  }
  if (words.size() > shown) text += "... and " + std::to_string(words.size() - shown) + " more\n";
  return text;
}

std::string CommonPrefix(const std::vector<std::string>& words) {
  std::string prefix = words.front();
  for (const auto& word : words) {
    while (!word.starts_with(prefix)) prefix.pop_back();
  }
  return prefix;
}

unsigned char Complete(EditLine* line, int) {
  const Editor& editor = TheEditor();
  const LineInfo* info = el_line(line);
  const std::string before(info->buffer, info->cursor);
  // A tab of pasted text is a blank and asks for nothing; where pastes are marked, it does not come here.
  const bool pasted = !editor.brackets && MoreIsThere(0);
  if (before.find_first_not_of(" \t") == std::string::npos || pasted)
    return el_insertstr(line, "  ") == 0 ? CC_REFRESH : CC_ERROR;
  if (editor.completer == LUA_NOREF) return CC_ERROR;
  std::size_t word = 0;
  const auto found = Candidates(editor.state, before, &word);
  if (found.empty()) return CC_ERROR;
  const std::string rest = CommonPrefix(found).substr(word);
  if (!rest.empty()) return el_insertstr(line, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  if (found.size() == 1) return CC_NORM;
  const std::string list = "\n" + Columns(found);
  if (write(STDOUT_FILENO, list.data(), list.size()) < 0) return CC_ERROR;
  return CC_REDISPLAY;
}

void Start(lua_State* L) {
  Editor& editor = TheEditor();
  editor.state = L;
  if (editor.line != nullptr) return;
  // "^C" in the middle of a bar or a table would stay there.
  termios settings;
  if (tcgetattr(STDIN_FILENO, &settings) == 0) {
    editor.terminal = settings;
    settings.c_lflag &= ~static_cast<tcflag_t>(ECHOCTL);
    tcsetattr(STDIN_FILENO, TCSANOW, &settings);
  }
  HistEvent event;
  editor.history = history_init();
  history(editor.history, &event, H_SETSIZE, 10000);
  history(editor.history, &event, H_SETUNIQUE, 1);
  editor.line = el_init("runner", stdin, stdout, stderr);
  el_set(editor.line, EL_PROMPT, Prompt);
  el_set(editor.line, EL_EDITOR, "emacs");
  el_set(editor.line, EL_SIGNAL, 0);
  el_wset(editor.line, EL_GETCFN, ReadCharacter);
  el_set(editor.line, EL_HIST, history, editor.history);
  el_set(editor.line, EL_ADDFN, "lua-complete", "Complete a Lua name", Complete);
  el_set(editor.line, EL_BIND, "^I", "lua-complete", nullptr);
  el_set(editor.line, EL_ADDFN, "paste", "Read a paste", Paste);
  el_set(editor.line, EL_BIND, "\\e[200~", "paste", nullptr);
  el_set(editor.line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(editor.line, nullptr);  // the user's ~/.editrc
  const char* terminal = getenv("TERM");
  editor.brackets = isatty(STDOUT_FILENO) && terminal != nullptr && strcmp(terminal, "dumb") != 0;
}

// A line of a paste, shown as if it were typed.
std::string NextPasted(Editor& editor) {
  std::string line = std::move(editor.pasted.front());
  editor.pasted.pop_front();
  const std::string shown = editor.prompt + line + "\n";
  if (write(STDOUT_FILENO, shown.data(), shown.size()) < 0) editor.pasted.clear();
  return line;
}

int PushLine(lua_State* L, const std::string& line) {
  lua_pushlstring(L, line.data(), line.size());
  lua_pushnil(L);
  lua_pushboolean(L, !TheEditor().pasted.empty());
  return 3;
}

// The editor's own reading, with pastes marked meanwhile.
const char* Edit(Editor& editor, int* count) {
  constexpr char kOn[] = "\x1b[?2004h", kOff[] = "\x1b[?2004l";
  if (editor.brackets && write(STDOUT_FILENO, kOn, sizeof kOn - 1) < 0) editor.brackets = false;
  if (!editor.pasted_rest.empty()) el_push(editor.line, editor.pasted_rest.c_str());
  editor.pasted_rest.clear();
  const char* text = el_gets(editor.line, count);
  if (editor.brackets && write(STDOUT_FILENO, kOff, sizeof kOff - 1) < 0) editor.brackets = false;
  return text;
}

// readline(prompt): the line without its end, nil, whether it is of a paste with further lines; nil at the end of
// input; nil, "interrupted" after Ctrl-C.
int ReadLine(lua_State* L) {
  Start(L);
  Editor& editor = TheEditor();
  editor.prompt = luaL_optstring(L, 1, "> ");
  if (!editor.pasted.empty()) return PushLine(L, NextPasted(editor));
  int count = 0;
  const char* text = Edit(editor, &count);
  if (text == nullptr || count <= 0) {
    lua_pushnil(L);
    if (!TakeInterrupt()) return 1;
    lua_pushliteral(L, "interrupted");
    return 2;
  }
  std::string line = text;
  if (line.ends_with('\n')) line.pop_back();
  return PushLine(L, line);
}

// more_typed(): whether input waits that was typed or pasted before this line was read.
int MoreTyped(lua_State* L) {
  lua_pushboolean(L, MoreIsThere(20));
  return 1;
}

int AddHistory(lua_State* L) {
  Start(L);
  HistEvent event;
  history(TheEditor().history, &event, H_ENTER, luaL_checkstring(L, 1));
  return 0;
}

// history_load(path), history_save(path): true, or false when the file could not be read or written.
int HistoryLoad(lua_State* L) {
  Start(L);
  HistEvent event;
  lua_pushboolean(L, history(TheEditor().history, &event, H_LOAD, luaL_checkstring(L, 1)) >= 0);
  return 1;
}

int HistorySave(lua_State* L) {
  Start(L);
  HistEvent event;
  lua_pushboolean(L, history(TheEditor().history, &event, H_SAVE, luaL_checkstring(L, 1)) >= 0);
  return 1;
}

int SetCompleter(lua_State* L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  Start(L);
  luaL_unref(L, LUA_REGISTRYINDEX, TheEditor().completer);
  lua_settop(L, 1);
  TheEditor().completer = luaL_ref(L, LUA_REGISTRYINDEX);
  return 0;
}

constexpr luaL_Reg kFunctions[] = {{"readline", ReadLine},
                                   {"add_history", AddHistory},
                                   {"more_typed", MoreTyped},
                                   {"history_load", HistoryLoad},
                                   {"history_save", HistorySave},
                                   {"set_completer", SetCompleter},
                                   {nullptr, nullptr}};

}  // namespace

void RegisterLineEdit(lua_State* L) { luaL_register(L, nullptr, kFunctions); }

void EndLineEdit() {
  Editor& editor = TheEditor();
  if (editor.line == nullptr) return;
  el_end(editor.line);
  if (editor.terminal) tcsetattr(STDIN_FILENO, TCSANOW, &*editor.terminal);
  history_end(editor.history);
  editor.line = nullptr;
  editor.history = nullptr;
}

}  // namespace lanthorn::runner
