-- A study that machines share, on a real PostgreSQL. A machine is a results folder of its own: nothing but the database
-- is common.
local dkjson = require 'dkjson'
local host = require 'host'
local postgres = require 'testing.postgres'
local processes = require 'testing.processes'
local runs = require 'testing.runs'
local sweeps = require 'testing.sweeps'
local t = require 'testing'

local script = runs.write('small.lua', sweeps.SCRIPT)
local missing = postgres.missing()
local server = not missing and postgres.start()

local test = t.test_unless(missing)

local Machine = {}
Machine.__index = Machine

local function machine(name)
  return setmetatable({ name = name, results = ('%s/%s'):format(runs.root, name), url = server and server.url },
    Machine)
end

function Machine:words(...)
  local words = { ... }
  for i, word in ipairs(words) do words[i] = t.quote(word) end
  return ('RUNNER_RESULTS_DIR=%s RUNNER_STUDY_URL=%s %s sweep %s'):format(self.results, t.quote(self.url or ''),
    runs.RUNNER, table.concat(words, ' '))
end

function Machine:call(...) return t.shell(self:words(...)) end

function Machine:start(...)
  self.started = (self.started or 0) + 1
  return processes.start('exec env ' .. self:words(...), ('%s/%s-%d'):format(runs.root, self.name, self.started))
end

function Machine:folder(name) return ('%s/small/sweep-%s'):format(self.results, name) end

-- The cells that this machine's own files know, by id.
function Machine:own(name)
  local found = {}
  for _, id in ipairs(host.listdir(self:folder(name) .. '/cells') or {}) do
    local claims = {}
    for _, entry in ipairs(host.listdir(('%s/cells/%s'):format(self:folder(name), id))) do
      if entry:find '^claim%-%d+$' then
        local path = ('%s/cells/%s/%s/exit.json'):format(self:folder(name), id, entry)
        claims[#claims + 1] = host.stat(path) and runs.json(path).state or 'open'
      end
    end
    if #claims > 0 then found[id] = table.concat(claims, ' ') end
  end
  return found
end

function Machine:states(name)
  local counts = {}
  for line in self:call('status', name, '--json'):gmatch '[^\n]+' do
    local row = dkjson.decode(line)
    if row and row.kind == 'cell' then counts[row.state] = (counts[row.state] or 0) + 1 end
  end
  return counts
end

local EIGHT = 'optim.lr=0.01,0.02,0.03,0.04'

test('two machines share the cells of a sweep, run none twice, and know the same of it', function()
  local a, b = machine 'a', machine 'b'
  local words = { script, EIGHT, 'seeds=2', 'test.sleep=0.05', '--name', 'two', '-j', '1' }
  local one, other = a:start(unpack(words)), b:start(unpack(words))
  local output, code = one:wait()
  t.equal(code, 0, output)
  output, code = other:wait()
  t.equal(code, 0, output)
  t.contains(output, 'study     postgresql://lanthorn@127.0.0.1')
  local of_a, of_b, count = a:own 'two', b:own 'two', { 0, 0 }
  for id, claims in pairs(of_a) do
    t.equal({ claims, of_b[id] }, { 'FINISHED' }, id)
    count[1] = count[1] + 1
  end
  for _, claims in pairs(of_b) do
    t.equal(claims, 'FINISHED')
    count[2] = count[2] + 1
  end
  t.equal(count[1] + count[2], 8, output)
  t.is_true(count[1] > 0 and count[2] > 0, 'one machine did it all')
  t.equal(server:sql "SELECT count(*), max(attempt) FROM lanthorn_cell WHERE sweep = 'small/sweep-two'", '8|1')
  local top = a:call('top', 'two')
  t.equal(b:call('top', 'two'), top)
  local alone = machine 'alone'
  alone.url = ''
  t.equal(select(2, alone:call(script, EIGHT, 'seeds=2', '--name', 'two')), 0)
  t.equal(alone:call('top', 'two'), (top:gsub(' test%.sleep=%S+', '')))
  output = a:call(unpack(words))
  t.contains(output, '8 of 8 cells over')
  t.contains(output, 'ran on other machines')
end)

test('looking at a sweep shares it with nobody', function()
  local alone = machine 'alone' -- whose sweep ran without a study
  t.contains(alone:call('status', 'two'), '8 done')
  t.equal(host.stat(alone:folder 'two' .. '/study'), nil)
end)

test('the password is in no file and no message', function()
  local output = t.shell(('grep -rl %s %s/a %s/b; true'):format(server.password, runs.root, runs.root))
  t.equal(output, '')
  t.equal(runs.read(machine 'a':folder 'two' .. '/study'):match '^[^:]+://[^@]+@', 'postgresql://lanthorn@')
end)

test('the cell of a process that is gone is taken over, that of a machine only when its lease is over', function()
  local a, b = machine 'a', machine 'b'
  local words = { script, 'optim.lr=0.01,0.02', 'test.sleep=0.5', '--name', 'gone', '-j', '1' }
  local pool = a:start(unpack(words))
  pool:wait_until('a cell that is taken', function()
    return server:sql "SELECT count(*) FROM lanthorn_cell WHERE sweep = 'small/sweep-gone'" == '1'
  end)
  t.shell(('pkill -KILL -P %s; kill -KILL %s'):format(pool.pid, pool.pid))
  local far = dkjson.encode { host = 'far', pid = 1, boot_id = 'x', process_start = '1' }
  local second = b:call(script, 'optim.lr=0.01,0.02', 'test.sleep=0.5', '--name', 'gone', '-n'):match '2  (%x+)'
  server:sql(("INSERT INTO lanthorn_cell VALUES ('small/sweep-gone', '%s', 1, 'running', '%s', %s, NULL, %s)"):format(
    second, far, 'extract(epoch FROM now()) + 8', 'extract(epoch FROM now())'))
  t.contains(b:call('status', 'gone'), '') -- the sweep is not planned there yet
  local output, code = b:call(unpack(words))
  t.equal(code, 0, output)
  t.equal(server:sql [[SELECT state, attempt FROM lanthorn_cell WHERE sweep = 'small/sweep-gone' ORDER BY cell]],
    'done|2\ndone|2', output)
  t.equal(a:states 'gone', { done = 2 })
end)

test('while the study is down nothing is lost and nothing is started; when it is back the sweep goes on', function()
  local a = machine 'a'
  local pool = a:start(script, EIGHT, 'test.sleep=0.2', '--name', 'down', '-j', '1')
  pool:wait_until('a cell that is over', function() return pool:output():find ': done after' end)
  server:stop()
  pool:wait_until('word of it', function() return pool:output():find 'the study does not answer' end)
  pool:wait_until('the end of the cell that ran', function()
    for _, claims in pairs(a:own 'down') do
      if claims == 'open' then return false end
    end
    return true
  end)
  local before = a:own 'down'
  host.sleep(2)
  t.equal(a:own 'down', before)
  server:begin()
  local output, code = pool:wait()
  t.equal(code, 0, output)
  t.contains(output, 'the study answers again')
  for _, claims in pairs(a:own 'down') do t.equal(claims, 'FINISHED', output) end
  t.equal(server:sql "SELECT count(*) FROM lanthorn_cell WHERE sweep = 'small/sweep-down' AND state = 'done'", '4')
end)

test('a study that hangs costs no finished cell; rebuild tells it', function()
  local a = machine 'a'
  local pool = a:start(script, 'optim.lr=0.01', 'test.sleep=0.3', '--name', 'hangs', '-j', '1')
  pool:wait_until('a cell that runs', function() return a:own('hangs')[1] or next(a:own 'hangs') end)
  server:freeze()
  local output, code = pool:wait()
  server:thaw()
  t.equal(code, 0, output)
  t.contains(output, 'no answer within 10 s')
  t.contains(output, 'runner sweep rebuild')
  t.contains(output, '1 of 1 cell over')
  local told
  told, code = a:call('rebuild', 'hangs')
  t.equal(code, 0, told)
  t.contains(told, '1 finished cell')
  t.equal(server:sql "SELECT state FROM lanthorn_cell WHERE sweep = 'small/sweep-hangs'", 'done')
end)

test('a study that is lost is made again from the files of the machines', function()
  local function content()
    return server:sql [[SELECT cell, state, exit FROM lanthorn_cell WHERE sweep = 'small/sweep-two' ORDER BY cell]]
  end
  local before = content()
  server:sql 'DROP TABLE lanthorn_cell, lanthorn_sweep, lanthorn_trial, lanthorn_report'
  for _, name in ipairs { 'a', 'b' } do
    local output, code = machine(name):call('rebuild', 'two')
    t.equal(code, 0, output)
    t.matches(output, 'study     postgresql://%S+: added [1-7] cells?, 0 trials, 0 reports')
  end
  t.equal(content(), before)
  t.equal(machine 'b':states 'two', { done = 8 })
end)

test('machines continue one series of TPE, and one pruner judges all', function()
  local words = { script, 'optim.lr=loguniform(1e-4,0.1)', '--trials', '14', '--sampler', 'tpe', '--pruner', 'median',
    '--name', 'tpe', '-j', '1' }
  local a, b = machine 'a', machine 'b'
  local one, other = a:start(unpack(words)), b:start(unpack(words))
  local output, code = one:wait()
  t.equal(code, 0, output)
  output, code = other:wait()
  t.equal(code, 0, output)
  t.equal(server:sql "SELECT count(*), max(k) FROM lanthorn_trial WHERE sweep = 'small/sweep-tpe'", '14|13')
  t.equal(server:sql "SELECT count(*), max(attempt) FROM lanthorn_cell WHERE sweep = 'small/sweep-tpe'", '14|1')
  local states = a:states 'tpe'
  t.equal((states.done or 0) + (states.pruned or 0), 14, output)
  t.equal(b:states 'tpe', states)
  for k = 0, 13 do
    local path = ('/trials/%05d.json'):format(k)
    if host.stat(a:folder 'tpe' .. path) and host.stat(b:folder 'tpe' .. path) then
      t.equal(runs.read(a:folder 'tpe' .. path), runs.read(b:folder 'tpe' .. path))
    end
  end
end)

test('a trial whose maker is gone is run by others', function()
  local last = dkjson.decode(server:sql "SELECT body FROM lanthorn_trial WHERE k = 13").cells[1].id
  server:sql(("DELETE FROM lanthorn_cell WHERE sweep = 'small/sweep-tpe' AND cell = '%s'"):format(last))
  local d = machine 'd'
  local output, code = d:call(script, 'optim.lr=loguniform(1e-4,0.1)', '--trials', '14', '--sampler', 'tpe', '--pruner',
    'median', '--name', 'tpe', '-j', '1')
  t.equal(code, 0, output)
  t.contains(output, '14 of 14 cells over')
  t.equal(server:sql "SELECT count(*), max(attempt) FROM lanthorn_cell WHERE sweep = 'small/sweep-tpe'", '14|1')
  local own = 0
  for id in pairs(d:own 'tpe') do
    t.equal(id, last)
    own = own + 1
  end
  t.equal(own, 1)
end)

test('a cell whose process was killed is told, also by a database user who may not make tables', function()
  server:sql "CREATE ROLE guest LOGIN; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO guest"
  local guest = machine 'guest'
  guest.url = guest.url:gsub('lanthorn:', 'guest:')
  local pool = guest:start(script, 'optim.lr=0.01', 'test.sleep=1', '--name', 'killed', '--retries', '0')
  pool:wait_until('a cell that runs', function() return next(guest:own 'killed') end)
  t.shell(('pkill -KILL -P %s'):format(pool.pid))
  local output, code = pool:wait()
  t.equal(code, 8, output)
  t.equal(server:sql [[SELECT state, exit LIKE '%killed by signal 9%' FROM lanthorn_cell
    WHERE sweep = 'small/sweep-killed']], 'lost|t', output)
end)

test('machines with other sources, or another idea of what is best, do not join', function()
  host.mkdir(runs.root .. '/edited')
  local other = runs.write('edited/small.lua', '-- edited\n' .. runs.read(script))
  local words = { EIGHT, 'seeds=2', 'test.sleep=0.05', '--name', 'two', '-j', '1' }
  local output, code = machine 'e':call(other, unpack(words))
  t.equal(code, 3, output)
  t.contains(output, 'use the same sources everywhere, another --name, or --allow-source-change')
  output, code = machine 'g':call(script, '--maximize', unpack(words))
  t.equal(code, 3, output)
  t.contains(output, 'already holds a different sweep')
end)

test('stop reaches all machines, and rm forgets the sweep', function()
  local a, b = machine 'a', machine 'b'
  local pool = a:start(script, EIGHT, 'test.sleep=0.5', '--name', 'halt', '-j', '1')
  pool:wait_until('a cell that runs', function() return next(a:own 'halt') end)
  t.equal(select(2, b:call(script, EIGHT, 'test.sleep=0.5', '--name', 'halt', '-n')), 0)
  t.equal(select(2, a:call('stop', 'halt')), 0)
  os.remove(a:folder 'halt' .. '/stop')
  local output, code = pool:wait()
  t.equal(code, 130, output)
  t.equal(server:sql "SELECT state FROM lanthorn_cell WHERE sweep = 'small/sweep-halt'", 'stopped')
  output, code = a:call('rm', 'halt')
  t.equal(code, 0, output)
  t.equal(server:sql "SELECT count(*) FROM lanthorn_cell WHERE sweep = 'small/sweep-halt'", '0')
  server:stop()
  output, code = a:call('rm', 'two')
  t.equal(code, 9, output)
  t.is_true(host.stat(a:folder 'two') ~= nil)
  output, code = a:call('stop', 'two')
  t.equal(code, 9, output)
  t.contains(output, 'this machine stops, the others cannot be asked')
  server:begin()
end)

test('what is wrong with a study is told before anything starts', function()
  local function refused(url, code, text)
    local m = machine 'refused'
    m.url = url
    local output, got = m:call(script, 'seeds=1', '--name', 'refused')
    t.equal(got, code, output)
    t.contains(output, text)
    t.equal(host.stat(m:folder 'refused'), nil)
  end
  refused('postgresql://lanthorn@127.0.0.1:1/postgres', 9, 'Connection refused')
  refused('mysql://u:secret@h/x', 3, 'RUNNER_STUDY_URL: expected postgresql://USER@HOST:PORT/NAME')
  refused(server.url:gsub('postgres$', 'nothere'), 9, 'database "nothere" does not exist')
  local a = machine 'a'
  local output, code = a:call(script, 'seeds=3', '--name', 'two')
  t.equal(code, 3, output)
  local c = machine 'c'
  output, code = c:call(script, 'seeds=3', '--name', 'two')
  t.equal(code, 3, output)
  t.contains(output, "the study already holds a different sweep 'small/sweep-two'; give this one another --name")
  a.url = ''
  output, code = a:call('resume', 'two')
  t.equal(code, 3, output)
  t.contains(output, 'but RUNNER_STUDY_URL is not set; set it, or remove')
  output, code = a:call('status', 'two')
  t.equal(code, 0, output)
  t.contains(output, 'only what this machine knows is shown')
end)
