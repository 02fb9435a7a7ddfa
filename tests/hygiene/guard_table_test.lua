-- The table of guards in engine/train/guards/README.md: every guard in it is checked in the file that it names, has a
-- test, does what the table says, speaks under its own id and name, and is off where its key says so.
local events = require 'guards.events'
local fail = require 'fail'
local guards = require 'guards.registry'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local TABLE = 'engine/train/guards/README.md'

local function read(path)
  local file = io.open(path, 'rb')
  if not file then return nil end
  local text = file:read '*a'
  file:close()
  return text
end

-- The rows of the table: id -> the cells.
local function table_rows()
  local rows = {}
  for line in read(TABLE):gmatch '[^\n]+' do
    local id, name = line:match '^| (G%d%d) ([%l_]+) |'
    local cells = {}
    for cell in line:gmatch '[^|]+' do cells[#cells + 1] = cell end
    if id and #cells > 6 then
      rows[id] = { name = name, does = cells[4] or '', accepted = (cells[5] or ''):gsub('[` ]', ''),
        check = (cells[6] or ''):match '`([^`]+)`', tests = cells[7] or '' }
    end
  end
  return rows
end

-- The rows of what holds by construction: id -> file and tests.
local function invariants()
  local rows = {}
  for line in read(TABLE):gmatch '[^\n]+' do
    local id, file, tests = line:match '^| (G%d%d) [%l_]+ |[^|]*|[^|]*| `([^`|]+)` |([^|]*)|$'
    if id then rows[id] = { file = file, tests = tests } end
  end
  return rows
end

-- Whether a test of this file has the id in its name.
local function has_test(path, id)
  for line in (read(path) or ''):gmatch '[^\n]+' do
    local is_test = line:find 't%.test%(' or line:find '^TEST'
    if is_test and line:find(id, 1, true) then return true end
  end
  return false
end

t.test('every guard that is claimed has its check, its tests and its row', function()
  local rows, problems, claimed = table_rows(), {}, 0
  for _, guard in ipairs(guards.rows) do
    local row = rows[guard.id]
    if guard.check then
      claimed = claimed + 1
      local text = (read(guard.check) or '') .. (read((guard.check:gsub('%.cc$', '.h'))) or '')
      if not text:find(guard.id, 1, true) then
        problems[#problems + 1] = ('%s: %s does not name it'):format(guard.id, guard.check)
      end
      if not row or row.name ~= guard.name or row.check ~= guard.check then
        problems[#problems + 1] = ('%s %s: %s has no such row with %s'):format(guard.id, guard.name, TABLE, guard.check)
      else
        local found = 0
        for path in row.tests:gmatch '`([^`]+)`' do
          found = found + 1
          if not has_test('tests/' .. path, guard.id) then
            problems[#problems + 1] = ('%s: no test of %s names it'):format(guard.id, path)
          end
        end
        if found == 0 then problems[#problems + 1] = guard.id .. ': no test' end
      end
    elseif row then
      problems[#problems + 1] = guard.id .. ': is in ' .. TABLE .. ', but scripts/guards/registry.lua names no check'
    end
  end
  t.is_true(claimed > 25)
  t.equal(table.concat(problems, '\n'), '')
end)

t.test('what holds by construction has its file, its tests and no row among the guards', function()
  local count = 0
  for id, row in pairs(invariants()) do
    count = count + 1
    local text = (read(row.file) or '') .. (read((row.file:gsub('%.cc$', '.h'))) or '')
    t.contains(text, id, row.file)
    local tested = false
    for path in row.tests:gmatch '`([^`]+)`' do
      t.is_true(has_test('tests/' .. path, id), ('%s: no test of %s names it'):format(id, path))
      tested = true
    end
    t.is_true(tested, id)
    t.is_false(pcall(guards.find, id), id)
  end
  t.is_true(count > 8, count .. ' invariants')
end)

t.test('G01 to G46 are each a guard or hold by construction', function()
  local ids = {}
  for _, guard in ipairs(guards.rows) do ids[#ids + 1] = guard.id end
  for id in pairs(invariants()) do ids[#ids + 1] = id end
  table.sort(ids)
  t.equal(#ids, 46)
  for i, id in ipairs(ids) do t.equal(id, ('G%02d'):format(i)) end
end)

-- What the table says of a guard: its level and the exit code of one that stops a run.
local function described(row)
  local does = row.does:match '^%s*(%l+)'
  return does == 'warns' and 'warn' or 'error', does == 'stops' and tonumber(row.does:match 'stops, (%d+)') or nil
end

t.test('every guard stops or warns as the table says, and is accepted by what the table names', function()
  for id, row in pairs(table_rows()) do
    local guard = guards.find(id)
    local level, code = described(row)
    t.equal(level, guard.level, id)
    if code then t.equal(code, guard.code, id) end
    t.is_true(row.does:find 'stops' ~= nil or row.does:find 'warns' ~= nil, id)
    t.equal(row.accepted:find('guards.' .. guard.name, 1, true) ~= nil,
      guard.key == true or (guard.accept or ''):find('guards.' .. guard.name, 1, true) ~= nil, id .. ': its key')
    for way in (guard.accept or ''):gsub(' ', ''):gmatch '[^,]+' do t.contains(row.accepted, way) end
  end
end)

t.test('what a guard found stops with its code, warns or does nothing, and begins with its id and name', function()
  local warned, original = nil, events.warned
  events.warned = function(_, message) warned = message end
  local ok, problem = pcall(function()
    for _, guard in ipairs(guards.rows) do
      local said = ('%s %s: it was found'):format(guard.id, guard.name)
      warned = nil
      events.fired(guard.id, 'off', 'it was found')
      t.equal(warned, nil, guard.id)
      events.fired(guard.id, 'warn', 'it was found')
      t.equal(warned, said)
      if guard.code > 0 then
        local err = t.error_matches(function() events.fired(guard.id, 'error', 'it was found') end, said .. '$')
        t.equal(fail.code_of(err), guard.code, guard.id)
      end
    end
  end)
  events.warned = original
  if not ok then error(problem, 0) end
end)

t.test('a message of a guard that is written in the sources has the name that belongs to its id', function()
  local sources = 'engine bindings scripts --include=*.cc --include=*.h --include=*.lua'
  local pipe = io.popen('grep -rhoE "G[0-9][0-9] [a-z_]+:" ' .. sources)
  local found = 0
  for line in pipe:lines() do
    local id, name = line:match '^(G%d%d) ([%l_]+):$'
    found = found + 1
    t.equal(name, guards.find(id).name, line)
  end
  pipe:close()
  t.is_true(found > 25, found .. ' messages')
end)

-- A training in which four guards find something, one after the other: a model that sees the future (G45), a first loss
-- that is not as expected (G05), updates that are all skipped (G36), and so nothing that is learnt (G37).
local FAULTY = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local model, nn = require 'model', require 'nn'
local cfg = experiment.config {
  data = { file = '%s', batch = 4, seq = 8, stride = 8, allow_leak = true },
  model = { causal = true }, optim = { lr = 1e-2 }, train = { epochs = 1, seed = 1, expect_loss = 50 },
}
local text = data.text(cfg.data)
local net = model.define {
  build = function()
    return { embed = nn.Embedding { text.vocab_size, 8 }, head = nn.Linear { 8, text.vocab_size } }
  end,
  forward = function(m, ids)
    local e = m.embed(ids)
    return m.head(e + e:flip { 1 })
  end,
} {}
train.fit { model = net, data = text, optim = cfg.optim, options = cfg.train,
  callbacks = { { before_update = function() return 'skip' end } } }]]

t.test('a guard that is off lets pass what it stopped, and each that its key switches off is recorded', function()
  local script = FAULTY:format(runs.write('text.txt', texts.words(12000)))
  local off = {}
  for _, name in ipairs { 'leak', 'init_loss', 'skipped_updates', 'no_learning' } do
    local guard = guards.find(name)
    local ran = runs.run(script, '-q', unpack(off))
    t.equal(ran.code, guard.code, ran.output)
    t.contains(ran.output, ('%s %s: '):format(guard.id, guard.name))
    off[#off + 1] = ('guards.%s=off'):format(name)
  end
  local keyed = {}
  for _, guard in ipairs(guards.rows) do
    if guard.key then keyed[#keyed + 1] = guard end
  end
  t.is_true(#keyed > 8, #keyed .. ' guards')
  off = {}
  for i, guard in ipairs(keyed) do off[i] = ('guards.%s=off'):format(guard.name) end
  local ran = runs.run(script, '-q', unpack(off))
  t.equal(ran.code, 0, ran.output)
  local recorded = {}
  for _, entry in ipairs(ran.exit.guards) do recorded[entry.id] = entry end
  for _, guard in ipairs(keyed) do
    t.fields(recorded[guard.id], { level = 'off', name = guard.name }, guard.id)
    local said = ('%s %s: switched off by guards.%s=off'):format(guard.id, guard.name, guard.name)
    t.contains(recorded[guard.id].message, said)
  end
end)
