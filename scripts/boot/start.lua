-- The first Lua code of the process: makes `require` find the library, refuses bytecode, then hands over to the command
-- line. It loads two files by hand, since nothing can be required before.
local host = package.loaded.host

local function load_library(path, require)
  return assert(loadstring('local require = ...; ' .. host.embedded(path), '=[lanthorn]/' .. path))(require)
end

if host.getenv('RUNNER_NO_JIT') then jit.off() end

-- Numbers are written with a point everywhere: schemas, JSON and printed values read the C library's locale. A script
-- may set any other part of it.
local set_locale = os.setlocale
local function set_all_but_numbers(locale, category)
  if category == 'numeric' and locale and locale ~= 'C' then return nil end
  local result = set_locale(locale, category)
  set_locale('C', 'numeric')
  return result
end
rawset(os, 'setlocale', set_all_but_numbers)

local sources = load_library('boot/sources.lua')
local modules = load_library('boot/modules.lua', function(name) return name == 'host' and host or sources end)
sources.install()
modules.install()
return modules.require('cli.command_line').main(...)
