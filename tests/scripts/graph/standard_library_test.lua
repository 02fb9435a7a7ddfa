-- The sources of Python's standard library as a folder, with fake programs in place of the network.
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local standard_library = require 'graph.standard_library'
local t = require 'testing'

local LIBRARY = 'package/usr/lib/python3.11'
local VERSIONS = 'libpython3.11-minimal 3.11.2-9, libpython3.11-stdlib 3.11.2-9'

-- A program of that name in the world, before all others on its PATH.
local function program(folder, name, script)
  local path = ('%s/bin/%s'):format(folder, name)
  files.write(path, ('#!/bin/sh\necho %s >> %s/called\n%s\n'):format(name, folder, script))
  t.shell('chmod +x ' .. path)
end

-- A world with a cache of its own, in which packages give what lies in its folder `package`.
local function world()
  local folder = t.temporary_folder()
  t.shell(('cd %s && mkdir -p bin cache %s/email %s/lib-dynload'):format(folder, LIBRARY, LIBRARY))
  program(folder, 'apt-get', 'for word; do last="$last $word"; done\nfor name in ${last##*download}; do '
    .. 'echo deb >"${name}_3.11.2-9_amd64.deb"; done')
  program(folder, 'dpkg-deb', ('mkdir -p "$3" && cp -a %s/package/. "$3"'):format(folder))
  for path, text in pairs { ['abc.py'] = 'import os\n', ['email/__init__.py'] = 'def f(): pass\n',
    ['notes.txt'] = 'no', ['lib-dynload/x.so'] = 'no', ['_sysconfigdata__x86_64-linux-gnu.py'] = 'x = 1\n' } do
    files.write(('%s/%s/%s'):format(folder, LIBRARY, path), text)
  end
  t.shell(('cd %s/%s && ln -s /etc/python3.11/sitecustomize.py sitecustomize.py'):format(folder, LIBRARY))
  return folder
end

-- Calls standard_library.folder in that world: what was printed, and what pcall gave.
local function folder_in(folder)
  local path, cache = host.getenv 'PATH', host.getenv 'XDG_CACHE_HOME'
  host.setenv('PATH', folder .. '/bin:' .. path)
  host.setenv('XDG_CACHE_HOME', folder .. '/cache')
  local printed, ok, found, versions = require('console').capture(100, standard_library.folder)
  host.setenv('PATH', path)
  host.setenv('XDG_CACHE_HOME', cache)
  return printed, ok, found, versions
end

local function files_below(folder)
  return (t.shell(('cd %s && find . ! -type d | LC_ALL=C sort'):format(folder)))
end

t.test('the sources are unpacked once, .py files alone and nothing of one machine', function()
  local folder = world()
  local printed, ok, found, versions = folder_in(folder)
  t.is_true(ok, found)
  t.equal(found, folder .. '/cache/lanthorn/data/python3.11/lib')
  t.equal(versions, VERSIONS)
  t.equal(files_below(folder .. '/cache'), './lanthorn/data/python3.11/lib/abc.py\n'
    .. './lanthorn/data/python3.11/lib/email/__init__.py\n./lanthorn/data/python3.11/made.json\n')
  t.contains(printed, 'graph: fetching the sources of Python: Debian: libpython3.11-minimal libpython3.11-stdlib')
  t.contains(printed, ('WARNING: the sources of Python are from %s and are not the pinned ones'):format(VERSIONS))
  t.contains(printed, standard_library.checksum(found))
  os.remove(folder .. '/called')
  local again, _, same = folder_in(folder)
  t.equal(same, found)
  t.equal(host.stat(folder .. '/called'), nil, 'no program was asked')
  t.is_false(again:find 'fetching')
  t.contains(again, 'WARNING')
end)

t.test('the pinned sources are taken without a word', function()
  local folder, pinned = world(), standard_library.sha256
  t.shell(('rm %s/%s/_sys*'):format(folder, LIBRARY))
  standard_library.sha256 = standard_library.checksum(folder .. '/' .. LIBRARY)
  folder_in(folder)
  local printed, ok = folder_in(folder)
  standard_library.sha256 = pinned
  t.is_true(ok)
  t.equal(printed, '')
end)

t.test('sources that were changed in the cache are refused', function()
  local folder = world()
  local _, _, found = folder_in(folder)
  files.write(found .. '/abc.py', 'import changed\n')
  local _, ok, err = folder_in(folder)
  t.is_false(ok)
  t.equal(fail.code_of(err), 4)
  t.matches(err, "python3.11' was changed: its files have sha256 %x+, expected %x+; remove the folder")
end)

t.test('what cannot be had is told, and nothing is left', function()
  local folder = world()
  local function refused(code, pattern)
    local _, ok, err = folder_in(folder)
    t.is_false(ok)
    t.equal(fail.code_of(err), code, err)
    t.matches(err, "the sources of Python's standard library could not be had: " .. pattern
      .. '; take a folder of Python files of your own')
    t.equal(files_below(folder .. '/cache'), '')
  end
  t.shell(('mv %s/package/usr/lib/python3.11 %s/package/usr/lib/python3.12'):format(folder, folder))
  refused(4, VERSIONS:gsub('[%-.]', '%%%0') .. ': there is no /usr/lib/python3%.11')
  program(folder, 'dpkg-deb', 'echo "dpkg-deb: error: failed to write: No space left on device" >&2; exit 2')
  refused(9, 'dpkg%-deb %-x .*No space left on device')
  program(folder, 'apt-get', 'echo "E: Failed to fetch: no network" >&2; exit 100')
  refused(4, 'apt%-get download libpython3.11%-minimal libpython3.11%-stdlib: E: Failed to fetch: no network')
end)
