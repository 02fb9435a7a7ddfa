// Line editing for the prompt through libedit's own interface. Its readline emulation is not used: that one sends
// SIGINT on to the whole process group.
#include <errno.h>
#include <histedit.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include <string>
#include <vector>

#include "bindings/runner/host.h"

namespace lanthorn::runner {
namespace {

struct Editor {
  EditLine* line = nullptr;
  History* history = nullptr;
  lua_State* state = nullptr;
  std::string prompt;
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
  // A tab of pasted text is a blank and asks for nothing.
  if (before.find_first_not_of(" \t") == std::string::npos || MoreIsThere(0))
    return el_insertstr(line, "  ") == 0 ? CC_REFRESH : CC_ERROR;
  if (editor.completer == LUA_NOREF) return CC_ERROR;
  std::size_t word = 0;
  const auto found = Candidates(editor.state, before, &word);
  if (found.empty()) return CC_ERROR;
  const std::string rest = CommonPrefix(found).substr(word);
  if (!rest.empty()) return el_insertstr(line, rest.c_str()) == 0 ? CC_REFRESH : CC_ERROR;
  if (found.size() == 1) return CC_NORM;
  std::string list = "\n";
  for (const auto& name : found) list += name + "  ";
  list += "\n";
  if (write(STDOUT_FILENO, list.data(), list.size()) < 0) return CC_ERROR;
  return CC_REDISPLAY;
}

void Start(lua_State* L) {
  Editor& editor = TheEditor();
  editor.state = L;
  if (editor.line != nullptr) return;
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
  el_set(editor.line, EL_BIND, "^R", "em-inc-search-prev", nullptr);
  el_source(editor.line, nullptr);  // the user's ~/.editrc
}

// readline(prompt): the line without its end; nil at the end of input; nil, "interrupted" after Ctrl-C.
int ReadLine(lua_State* L) {
  Start(L);
  Editor& editor = TheEditor();
  editor.prompt = luaL_optstring(L, 1, "> ");
  int count = 0;
  const char* text = el_gets(editor.line, &count);
  if (text == nullptr || count <= 0) {
    lua_pushnil(L);
    if (!TakeInterrupt()) return 1;
    lua_pushliteral(L, "interrupted");
    return 2;
  }
  std::size_t size = strlen(text);
  if (size > 0 && text[size - 1] == '\n') --size;
  lua_pushlstring(L, text, size);
  return 1;
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
  history_end(editor.history);
  editor.line = nullptr;
  editor.history = nullptr;
}

}  // namespace lanthorn::runner
