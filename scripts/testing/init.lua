-- A small test kit. A test file is a script: `runner tests/scripts/x_test.lua`; words after -- select tests by pattern.
--   local t = require 'testing'
--   t.test('a sentence of behaviour', function() t.equal(1 + 1, 2) end)
-- Each failing test prints its lines; the end of the script prints a summary and sets the exit code: 1 when something
-- failed, 77 when nothing failed and something was skipped, which ctest shows as skipped.
local console = require 'console'
local fail = require 'fail'
local host = require 'host'
local at_exit = require 'boot.at_exit'
local pretty = require 'pretty'
local shell = require 'base.shell'
local traceback = require 'boot.traceback'

local SKIPPED = 77
local PATIENCE = 120 -- seconds

local testing = { passed = 0, failed = 0, skipped = 0 }

-- What a failed check raises, to be told from errors of the code under test.
local function failure(message)
  fail.raise(1, message)
end

local function deep_equal(a, b)
  if a == b then return true end
  if type(a) ~= 'table' or type(b) ~= 'table' then return a ~= a and b ~= b end
  for key, value in pairs(a) do
    if not deep_equal(value, b[key]) then return false end
  end
  for key in pairs(b) do
    if a[key] == nil then return false end
  end
  return true
end

local function summary(code)
  local skipped = testing.skipped > 0 and (', %d skipped'):format(testing.skipped) or ''
  console.write(('%d passed, %d failed%s\n'):format(testing.passed, testing.failed, skipped))
  if testing.passed + testing.failed + testing.skipped == 0 then
    console.warn('error: no test ran')
    return 1
  end
  if testing.failed > 0 then return 1 end
  return code == 0 and testing.skipped > 0 and SKIPPED or code
end
at_exit.add(summary)

local function selected(name)
  local pattern = arg and arg[1]
  return not pattern or name:find(pattern) ~= nil
end

---Runs one test. Nothing it raises ends the file.
---@param name string a sentence of behaviour
---@param body function
function testing.test(name, body)
  if not selected(name) then return end
  local ok, problem = traceback.call(body)
  if ok then
    testing.passed = testing.passed + 1
    return
  end
  if type(problem.value) == 'table' and problem.value.skip then
    testing.skipped = testing.skipped + 1
    console.write(('SKIP %s: %s\n'):format(name, problem.value.skip))
    return
  end
  testing.failed = testing.failed + 1
  console.write(('FAIL %s\n  %s\n'):format(name, problem.message))
  for _, line in ipairs(problem.trace) do console.write('  ' .. line .. '\n') end
end

---Ends the running test without a verdict; the summary counts it.
---@param reason string
function testing.skip(reason)
  error({ skip = reason }, 0)
end

---A function like testing.test whose tests are skipped when something is missing.
---@param missing string? what, as the reason
---@return fun(name: string, body: fun())
function testing.test_unless(missing)
  return function(name, body)
    testing.test(name, function()
      if missing then testing.skip(missing) end
      body()
    end)
  end
end

-- What a message of a failure ends with.
local function detail(what)
  if what == nil then return '' end
  return ': ' .. (type(what) == 'table' and pretty.inline(what) or tostring(what))
end

---Fails unless both values are equal; tables are compared by content, NaN equals NaN.
---@param got any
---@param expected any
---@param what? any said behind the values: the case of a loop, or the output of a command
function testing.equal(got, expected, what)
  if deep_equal(got, expected) then return end
  failure(('expected %s, got %s%s'):format(pretty.inline(expected), pretty.inline(got), detail(what)))
end

---Fails unless the record has these fields with these values; it may have others. Every field that differs is named.
---@param record table
---@param expected table<string, any>
---@param what? any said behind the values: the case of a loop, or the output of a command
function testing.fields(record, expected, what)
  if type(record) ~= 'table' and type(record) ~= 'userdata' then
    failure(('expected a record, got %s%s'):format(pretty.inline(record), detail(what)))
  end
  local problems = {}
  for _, name in ipairs(pretty.sorted_keys(expected)) do
    local got, wanted = record[name], expected[name]
    if not deep_equal(got, wanted) then
      problems[#problems + 1] = ("field '%s': expected %s, got %s")
        :format(name, pretty.inline(wanted), pretty.inline(got))
    end
  end
  if #problems > 0 then failure(table.concat(problems, '; ') .. detail(what)) end
end

---Fails unless |got - expected| <= tolerance.
---@param got number
---@param expected number
---@param tolerance number
---@param what? any said behind the values
function testing.near(got, expected, tolerance, what)
  if type(got) == 'number' and math.abs(got - expected) <= tolerance then return end
  local wanted = ('%s +- %s'):format(pretty.inline(expected), pretty.inline(tolerance))
  failure(('expected %s, got %s%s'):format(wanted, pretty.inline(got), detail(what)))
end

---Fails unless the value is true.
---@param value any
---@param what? any said behind the value
function testing.is_true(value, what)
  if value == true then return end
  failure(('expected true, got %s%s'):format(pretty.inline(value), detail(what)))
end

---Fails unless the value is false or nil.
---@param value any
---@param what? any said behind the value
function testing.is_false(value, what)
  if not value then return end
  failure(('expected false, got %s%s'):format(pretty.inline(value), detail(what)))
end

---Fails unless the text matches the pattern.
---@param text any
---@param pattern string
function testing.matches(text, pattern)
  if tostring(text):find(pattern) then return end
  failure(("expected text like '%s', got '%s'"):format(pattern, tostring(text)))
end

---Fails unless the text contains the other text.
---@param text any
---@param part string
function testing.contains(text, part)
  if tostring(text):find(part, 1, true) then return end
  failure(("expected text with '%s', got '%s'"):format(part, tostring(text)))
end

---Fails unless f raises an error whose message matches; returns the error.
---@param f function
---@param pattern string
---@return any err
function testing.error_matches(f, pattern)
  local ok, err = pcall(f)
  if ok then failure(("expected an error like '%s', there was none"):format(pattern)) end
  if not traceback.message(err):find(pattern) then
    failure(("expected an error like '%s', got '%s'"):format(pattern, traceback.message(err)))
  end
  return err
end

---Waits until `holds` gives something true, which it returns; fails when that does not come in time.
---@param what string what is waited for
---@param holds function
---@param seconds? number 120 otherwise: long enough for a slow machine, since no time decides a test
---@param more? function gives what the failure tells beside
function testing.wait_until(what, holds, seconds, more)
  local began, limit = host.now(), seconds or PATIENCE
  while true do
    local found = holds()
    if found then return found end
    if host.now() - began > limit then
      failure(('waited %g s for %s%s'):format(limit, what, detail(more and more())))
    end
    host.sleep(0.02)
  end
end

---Runs a command of the shell with stdin closed. Returns what it wrote and its exit code.
---@param command string
---@return string output, integer code
function testing.shell(command)
  return shell.output(command)
end

---Quotes a word for the shell.
---@param word string
---@return string
function testing.quote(word)
  return shell.quote(word)
end

---Runs this runner with the given words, quoted. Returns what it wrote and its exit code.
---@return string output, integer code
function testing.runner(...)
  local words = { testing.quote(host.folder .. '/runner') }
  for i = 1, select('#', ...) do words[#words + 1] = testing.quote((select(i, ...))) end
  return testing.shell(table.concat(words, ' '))
end

---A path at which nothing is; what is made there goes away at the end.
---@return string path
function testing.temporary_path()
  local path = os.tmpname()
  os.remove(path)
  path = path:lower() -- the names of os.tmpname hold capitals, which an experiment's name cannot
  at_exit.add(function()
    if host.stat(path) then testing.shell(('chmod -R u+w %s; rm -rf %s'):format(path, path)) end
  end)
  return path
end

---Makes an empty folder, which goes away at the end with all that is in it.
---@return string path
function testing.temporary_folder()
  local path = testing.temporary_path()
  assert(host.mkdir(path))
  return path
end

---Writes a text to a new temporary file. Returns its path.
---@param text string
---@param suffix? string default ".lua"
---@return string path
function testing.write_file(text, suffix)
  local path = testing.temporary_path() .. (suffix or '.lua')
  local file = assert(io.open(path, 'wb'))
  file:write(text)
  file:close()
  at_exit.add(function() os.remove(path) end)
  return path
end

return testing
