-- Where a corpus comes from: the order of places, downloads and Debian packages with fake programs for the network,
-- and `runner data`.
local bible_text = require 'corpus.bible_text'
local bit = require 'bit'
local dkjson = require 'dkjson'
local host = require 'host'
local lanthorn = require 'lanthorn'
local python_text = require 'corpus.python_text'
local t = require 'testing'

local RUNNER = t.quote(host.folder .. '/runner')

local function write(path, text)
  local file = assert(io.open(path, 'wb'))
  file:write(text)
  file:close()
end

-- A program of that name in the world, before all others on its PATH.
local function program(folder, name, script)
  local path = ('%s/bin/%s'):format(folder, name)
  write(path, ('#!/bin/sh\necho %s >> %s/called\n%s\n'):format(name, folder, script))
  t.shell('chmod +x ' .. path)
end

-- A world with its own cache and data folder, in which no program reaches a network.
local function world()
  local folder = t.temporary_folder()
  t.shell(('cd %s && mkdir -p bin cache/lanthorn/data data package/usr/lib/python3.11/email'):format(folder))
  program(folder, 'curl', 'echo "curl: (6) Could not resolve host" >&2; exit 6')
  program(folder, 'wget', 'exit 4')
  program(folder, 'apt-get', 'echo "E: Failed to fetch: no network" >&2; exit 100')
  return folder
end

-- From here on packages can be had in that world: what lies in its folder `package`.
local function open_registry(folder, version)
  local download = 'for name in ${last##*download}; do echo deb >"${name}_%s_amd64.deb"; done'
  program(folder, 'apt-get', ('for word; do last="$last $word"; done\ncase "$last" in *download*) %s;; esac')
    :format(download:format((version:gsub(':', '%%3a')))))
  program(folder, 'dpkg-deb', ('mkdir -p "$3" && cp -r %s/package/. "$3"'):format(folder))
end

local function environment(folder)
  return ('PATH=%s/bin:$PATH XDG_CACHE_HOME=%s/cache RUNNER_DATA_DIR=%s/data'):format(folder, folder, folder)
end

local function in_world(folder, code)
  return t.shell(('%s %s -e %s'):format(environment(folder), RUNNER, t.quote(code)))
end

local function data_command(folder, words)
  return t.shell(('%s %s data %s'):format(environment(folder), RUNNER, words))
end

local function files_in_cache(folder)
  return (t.shell(('cd %s/cache && find . -mindepth 3 -not -path "./lanthorn/blas/*" | LC_ALL=C sort'):format(folder)))
end

-- LZW as compress(1) writes it: codes of 9 to 16 bits in groups of eight, and now and then one that starts anew.
local function compress(text, restart_every)
  local bytes, buffer, held, in_group = {}, 0, 0, 0
  local width, words, size
  local function put(code)
    buffer, held, in_group = buffer + code * 2 ^ held, held + width, in_group + 1
    while held >= 8 do
      bytes[#bytes + 1] = string.char(buffer % 256)
      buffer, held = math.floor(buffer / 256), held - 8
    end
    if in_group == 8 then in_group = 0 end
  end
  local function set_width(bits)
    while in_group ~= 0 do put(0) end
    width = bits
  end
  local function restart()
    words, size = {}, 257
    for i = 0, 255 do words[string.char(i)] = i end
  end
  width = 9
  restart()
  local word, first = '', true
  for i = 1, #text do
    local c = text:sub(i, i)
    if words[word .. c] then
      word = word .. c
    else
      put(words[word])
      -- The reader learns a word one code later, so the width grows when the one before has filled it.
      if size == 2 ^ width and width < 16 and not first then set_width(width + 1) end
      if size < 2 ^ 16 then words[word .. c], size = size, size + 1 end
      first = false
      if restart_every and i % restart_every == 0 then
        put(words[c])
        put(256)
        set_width(9)
        restart()
        word, first = '', true
      else
        word = c
      end
    end
  end
  if word ~= '' then put(words[word]) end
  if held > 0 then bytes[#bytes + 1] = string.char(buffer % 256) end
  return table.concat(bytes)
end

local function number(n)
  local function byte(shift) return bit.band(bit.rshift(n, shift), 255) end
  return string.char(byte(24), byte(16), byte(8), byte(0))
end

-- A data file of a text, in windows of so many bytes.
local function bible_data(text, window)
  local packed, offsets = {}, {}
  for from = 1, #text, window do
    packed[#packed + 1] = compress(text:sub(from, from + window - 1))
  end
  local at = 0x5c + 4 * (#packed + 1)
  for i, one in ipairs(packed) do offsets[i], at = number(at), at + #one end
  offsets[#offsets + 1] = number(at)
  local head = bible_text.magic .. ('\0'):rep(0x54 - #bible_text.magic)
  return head .. number(window) .. number(#packed) .. table.concat(offsets) .. table.concat(packed)
end

-- Verses as in the file, and without title and references.
local function verses(count)
  local random, file, plain = 7, { 'A title line.\n' }, {}
  local WORDS = { 'and', 'the', 'lord', 'said', 'unto', 'light', 'waters', 'firmament', 'evening', 'morning' }
  for i = 1, count do
    local words = {}
    for j = 1, 5 + i % 17 do
      random = (random * 16807) % 2147483647
      words[j] = WORDS[random % #WORDS + 1] .. random % 7
    end
    plain[i] = table.concat(words, ' ') .. ' 4:5 ends.\n'
    file[i + 1] = ('Ge%d:%d %s'):format(math.floor(i / 30) + 1, i % 30 + 1, plain[i])
  end
  return table.concat(file), table.concat(plain)
end

t.test('verses come out of the compressed file without title and references, as gzip reads it', function()
  local text, plain = verses(3000) -- 240 kB: all widths of codes
  for _, restart_every in ipairs { 0, 5000 } do
    local packed = compress(text, restart_every > 0 and restart_every or nil)
    local path = t.write_file('\31\157\144' .. packed, '.Z')
    t.equal(t.shell('gzip -dc ' .. path) == text, true) -- the test's own compressor is right
    local one = bible_text.magic .. ('\0'):rep(0x54 - #bible_text.magic) .. number(#text) .. number(1) .. number(0x64)
      .. number(0x64 + #packed) .. packed
    t.equal(bible_text.decode(one, #plain) == plain, true)
  end
  t.equal(bible_text.decode(bible_data(text, 65536), 1000) == plain:sub(1, 1000), true)
  t.equal(bible_text.decode(bible_data(text, 1000), #plain) == plain, true) -- verses across windows
end)

t.test('a data file that is cut, damaged or another one says so', function()
  local text, plain = verses(50)
  local file = bible_data(text, 1000)
  t.error_matches(function() bible_text.decode(file:sub(1, -9), #plain) end, '^it is cut short$')
  t.error_matches(function() bible_text.decode('EC02' .. ('\0'):rep(200), 5) end,
    "^it does not begin with 'EC02Compressed Data File'$")
  t.error_matches(function() bible_text.decode(file, #plain + 1) end,
    '^it holds %d+ bytes of verses, expected at least %d+$')
  t.error_matches(function() bible_text.build('/nowhere', 5) end, '^it has no /usr/lib/bible%.data$')
end)

t.test('Python sources are taken in the order of their paths, ASCII alone and not the longest', function()
  local folder = world()
  local root = folder .. '/package'
  local library = root .. '/usr/lib/python3.11'
  write(library .. '/email.py', 'third\n')
  write(library .. '/email/__init__.py', 'first\n')
  write(library .. '/email/zz.py', 'second\n')
  write(library .. '/abc.py', 'ü\n')
  write(library .. '/big.py', ('x'):rep(200001))
  write(library .. '/notes.txt', 'not\n')
  t.shell(('ln -s email.py %s/link.py; ln -s nothing %s/lost.py'):format(library, library))
  t.equal(python_text.build(root, 25), 'first\nsecond\nthird\nthird\n')
  t.equal(python_text.build(root, 8), 'first\nse')
  t.error_matches(function() python_text.build(root, 26) end, 'holds 25 bytes of sources, expected at least 26')
end)

local PROBE = "local x = require('data').text {} print(x.name, x.native.path)"
local TOY = "local corpora = require 'corpus.registry'\n"
  .. "corpora.known.toy = { file = 'toy.txt', bytes = %d, sha256 = '%s', about = 'a toy', "
  .. "packages = { 'toy-text' }, recipe = 'corpus.%s', varies = %s }\n"

local function toy(text, recipe, varies)
  local sha256 = lanthorn.data.sha256(t.write_file(text, '.txt'))
  return TOY:format(#text, sha256, recipe, varies and ("'%s'"):format(varies) or 'nil')
end

t.test('a corpus that cannot be brought is exit 4, after every way was tried, and nothing is left', function()
  local folder = world()
  local output, code = in_world(folder, PROBE)
  t.equal(code, 4, output)
  t.contains(output, "corpus 'tinyshakespeare' could not be fetched: curl: (6) Could not resolve host")
  t.contains(output, "nor 'kjv' to stand in for it: apt-get download bible-kjv-text: E: Failed to fetch: no network")
  t.contains(output, ('put tinyshakespeare.txt '
    .. '(sha256 86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed) into '
    .. "RUNNER_DATA_DIR '%s/data' or '%s/cache/lanthorn/data'"):format(folder, folder))
  t.equal(t.shell('cat ' .. folder .. '/called'), 'curl\nwget\napt-get\napt-get\napt-get\n')
  t.equal(files_in_cache(folder), '')
end)

t.test('a corpus is made from its package once, by two processes at the same time too', function()
  local folder = world()
  open_registry(folder, '4.38')
  local text, plain = verses(400)
  write(folder .. '/package/usr/lib/bible.data', bible_data(text, 4096))
  local code = toy(plain, 'bible_text') .. "print(corpora.find('toy').path)"
  local both = t.shell(('for i in 1 2; do %s %s -q -e %s & done; wait')
    :format(environment(folder), RUNNER, t.quote(code)))
  local path = folder .. '/cache/lanthorn/data/toy.txt'
  t.equal(both, path .. '\n' .. path .. '\n')
  t.equal(files_in_cache(folder), './lanthorn/data/toy.txt\n')
  t.equal(t.shell('cat ' .. path) == plain, true)
  os.remove(folder .. '/called')
  t.contains(in_world(folder, code), path)
  t.equal(host.stat(folder .. '/called'), nil, 'no program was asked')
end)

t.test('a pinned text that came out differently is thrown away', function()
  local folder = world()
  open_registry(folder, '4.39')
  local text, plain = verses(400)
  write(folder .. '/package/usr/lib/bible.data', bible_data(text, 4096))
  local output, code = in_world(folder, toy(('x'):rep(#plain), 'bible_text') .. "corpora.find('toy')")
  t.equal(code, 4, output)
  t.matches(output,
    "corpus 'toy' could not be fetched: the file from toy%-text 4%.39 has sha256 %x+, expected %x+; it was discarded")
  t.equal(files_in_cache(folder), '')
end)

t.test('a text that other versions of a package change is kept under its own checksum, and said', function()
  local folder = world()
  open_registry(folder, '1:3.11.2-9')
  write(folder .. '/package/usr/lib/python3.11/abc.py', 'import sys\n')
  local code = toy(('x'):rep(11), 'python_text', 'an update may change it')
    .. "local source = corpora.find('toy') print(source.name, source.path, source.sha256)"
  local sum = lanthorn.data.sha256(folder .. '/package/usr/lib/python3.11/abc.py')
  local name = ('toy-%s.txt'):format(sum:sub(1, 12))
  for i = 1, 2 do
    local output = in_world(folder, code)
    t.contains(output, ('toy (toy-text 1:3.11.2-9)\t%s/cache/lanthorn/data/%s\t%s\n'):format(folder, name, sum))
    t.contains(output,
      "WARNING: 'toy' is made from toy-text 1:3.11.2-9 and is not the pinned text (an update may change it)")
    t.equal(files_in_cache(folder), ('./lanthorn/data/%s\n./lanthorn/data/toy.other.json\n'):format(name))
    if i == 1 then os.remove(folder .. '/called') end
  end
  t.equal(host.stat(folder .. '/called'), nil, 'the second time no program was asked')
end)

t.test('a full disk is exit 9, packages without the text exit 4, a system without apt-get is told', function()
  local folder = world()
  open_registry(folder, '4.38')
  local code = toy('text', 'bible_text') .. "corpora.find('toy')"
  local output, rc = in_world(folder, code)
  t.equal(rc, 4)
  t.contains(output, 'toy-text 4.38: it has no /usr/lib/bible.data')
  program(folder, 'dpkg-deb', 'echo "dpkg-deb: error: failed to write: No space left on device" >&2; exit 2')
  output, rc = in_world(folder, code)
  t.equal(rc, 9)
  t.contains(output, 'dpkg-deb -x toy-text_4.38_amd64.deb: dpkg-deb: error: failed to write: No space left on device')
  -- A PATH with the programs that bringing uses, and no apt-get.
  t.shell(('cd %s/bin && rm * && for p in sh mkdir find mktemp rm; do ln -s $(command -v $p) .; done'):format(folder))
  output, rc = t.shell(('PATH=%s/bin XDG_CACHE_HOME=%s/cache %s -e %s'):format(folder, folder, RUNNER, t.quote(code)))
  t.equal(rc, 4)
  t.contains(output, 'this system has no apt-get')
  t.equal(files_in_cache(folder), '')
end)

t.test('what was left by a process that was killed is removed', function()
  local folder = world()
  local data = folder .. '/cache/lanthorn/data'
  t.shell(('mkdir %s/.fetch-old %s/.fetch-new; touch -d "3 hours ago" %s/.fetch-old'):format(data, data, data))
  data_command(folder, 'fetch kjv')
  t.equal(files_in_cache(folder), './lanthorn/data/.fetch-new\n')
end)

-- The name and the text of a file in both places, with a catalogue that has its checksum.
t.test('RUNNER_DATA_DIR wins over the cache, and neither needs a network', function()
  local folder = world()
  local code = toy('text', 'bible_text') .. "print(corpora.find('toy').path)"
  write(folder .. '/cache/lanthorn/data/toy.txt', 'text')
  t.contains(in_world(folder, code), folder .. '/cache/lanthorn/data/toy.txt\n')
  write(folder .. '/data/toy.txt', 'text')
  t.equal(in_world(folder, code), folder .. '/data/toy.txt\n')
  t.equal(host.stat(folder .. '/called'), nil)
end)

t.test('a corpus that was changed is exit 4 with both checksums', function()
  local folder = world()
  write(folder .. '/data/tinyshakespeare.txt', 'changed\n')
  local output, code = in_world(folder, PROBE)
  t.equal(code, 4, output)
  t.contains(output, 'is not the file that was pinned')
  t.contains(output, 'expected 86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed')
end)

t.test('a download with the wrong checksum is thrown away', function()
  local folder = world()
  program(folder, 'curl', 'while [ "$1" != -o ]; do shift; done\necho page > "$2"')
  local output, code = data_command(folder, 'fetch tinyshakespeare')
  t.equal(code, 4, output)
  t.contains(output, 'expected 86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed; it was discarded')
  t.equal(files_in_cache(folder), '')
end)

t.test("where tiny Shakespeare cannot be had kjv stands in, and it is said that numbers don't compare", function()
  local folder = world()
  local text, plain = verses(200)
  open_registry(folder, '4.38')
  write(folder .. '/package/usr/lib/bible.data', bible_data(text, 4096))
  local pinned = toy(plain, 'bible_text'):gsub('known%.toy', 'known.kjv')
  local output = in_world(folder, pinned .. 'local source = corpora.find "tinyshakespeare" print(source.name)')
  t.contains(output,
    "WARNING: 'tinyshakespeare' could not be fetched (curl: (6) Could not resolve host); 'kjv' stands in for it")
  t.contains(output, 'This is another text: results are NOT comparable with published ones.')
  t.contains(output, '\nkjv (substitute for tinyshakespeare)\n')
end)

t.test('runner data lists, fetches and checks', function()
  local folder = world()
  local output, code = data_command(folder, '')
  t.equal(code, 0, output)
  t.matches(output, 'away     kjv              1,000,000  from Debian: bible%-kjv%-text\n')
  t.matches(output, 'away     tinyshakespeare  1,115,394  from https://')
  local checked, check_code = data_command(folder, 'check')
  t.equal(checked, output, 'there is nothing to check')
  t.equal(check_code, 0, checked)
  write(folder .. '/data/kjv.txt', 'changed\n')
  output, code = data_command(folder, 'check --json kjv python_code')
  t.equal(code, 4, output)
  local first, second = output:match '^([^\n]+)\n([^\n]+)\n'
  first, second = dkjson.decode(first), dkjson.decode(second)
  t.fields(first, { name = 'kjv', here = true, ok = false, path = folder .. '/data/kjv.txt' })
  t.matches(first.problem, "has sha256 %x+, expected bcceeb19%x+8747$")
  t.fields(second, { name = 'python_code', here = false,
    problem = 'is missing; fetch it with: runner data fetch python_code' })
  output, code = data_command(folder, 'fetch kjv python_code')
  t.equal(code, 4, output)
  t.matches(output, "PROBLEM  kjv .*data/kjv.txt' has sha256")
  t.contains(output, 'apt-get download libpython3.11-minimal libpython3.11-stdlib: E: Failed to fetch: no network')
  output, code = data_command(folder, 'fetch kjw')
  t.equal(code, 2, output)
  t.contains(output, "corpus 'kjw' is not known; nearest: kjv")
  t.equal(select(2, data_command(folder, 'steal')), 2)
end)
