-- Every guard that the project claims is checked in the file it names, has a test that names it and a row in engine/train/guards/README.md.
local guards = require 'guards.registry'
local t = require 'testing'

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
    if id then
      local cells = {}
      for cell in line:gmatch '[^|]+' do cells[#cells + 1] = cell end
      rows[id] = { name = name, check = (cells[6] or ''):match '`([^`]+)`', tests = cells[7] or '' }
    end
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
      if not text:find(guard.id, 1, true) then problems[#problems + 1] = ('%s: %s does not name it'):format(guard.id, guard.check) end
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
