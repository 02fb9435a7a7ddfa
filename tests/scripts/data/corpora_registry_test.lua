-- The corpora that come from Debian, brought from its registry into an empty cache: the texts that are pinned.
local dkjson = require 'dkjson'
local host = require 'host'
local t = require 'testing'

t.test('kjv and python_code are made from Debian packages without root', function()
  local cache = t.temporary_folder()
  local output, code = t.shell(('XDG_CACHE_HOME=%s RUNNER_DATA_DIR= %s data fetch --json kjv python_code'):format(cache,
    t.quote(host.folder .. '/runner')))
  t.equal(code, 0, output)
  local rows = {}
  for line in output:gmatch '(%b{})\n' do
    local row = dkjson.decode(line)
    rows[row.name] = row
  end
  t.fields(rows.kjv, { ok = true, bytes = 1000000 })
  t.equal(rows.kjv.versions, nil)
  t.fields(rows.python_code, { ok = true, bytes = 1000000 })
  t.equal((t.shell(('find %s -name ".fetch-*"'):format(cache))), '')
end)
