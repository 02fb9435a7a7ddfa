-- Rules of the Lua library, checked from the repository root: who may ask for the state of the process.
local files = require 'files'
local t = require 'testing'

-- The Lua files of the library below a folder, with their text.
local function sources(folder, found)
  found = found or {}
  for _, entry in ipairs(files.list(folder)) do
    if entry.type == 'dir' and entry.name ~= 'meta' then -- what is there is generated
      sources(entry.path, found)
    elseif entry.name:find '%.lua$' then
      found[#found + 1] = { path = entry.path, text = files.read(entry.path) }
    end
  end
  return found
end

t.test('only what users call asks for the current experiment; others are given what it means for them', function()
  local problems, asking = {}, 0
  for _, source in ipairs(sources 'scripts') do
    local code = ('\n' .. source.text):gsub('\n%s*%-%-[^\n]*', '')
    if code:find 'experiment%.current%(' or code:find "require%s*%(?%s*['\"]experiment['\"]%s*%)?%s*%.current" then
      asking = asking + 1
      local entry = source.path:find '^scripts/lib/' or source.path:find '^scripts/commands/'
      if not entry then problems[#problems + 1] = source.path .. ' calls experiment.current()' end
    end
  end
  t.is_true(asking > 3)
  t.equal(table.concat(problems, '\n'), '')
end)

t.test('nobody asks data for its kind: data answer for themselves', function()
  local problems = {}
  for _, source in ipairs(sources 'scripts') do
    if source.text:find '%f[%w]data%.kind [=~]=' then
      problems[#problems + 1] = source.path
    end
  end
  t.equal(table.concat(problems, '\n'), '')
end)

t.test("every file of a room is in the room's README", function()
  local problems, rooms = {}, 0
  for _, room in ipairs(files.list 'scripts') do
    if room.type == 'dir' and room.name ~= 'meta' then
      rooms = rooms + 1
      local text = files.read(room.path .. '/README.md')
      for _, file in ipairs(files.list(room.path, '%.lua$')) do
        local name = file.name:match '^(.*)%.lua$':gsub('_', '[_-]')
        if name ~= 'init' and not text:find('`[^`\n]*%f[%w]' .. name .. '%f[^%w][^`\n]*`') then
          problems[#problems + 1] = file.path
        end
      end
    end
  end
  t.is_true(rooms > 20)
  t.equal(table.concat(problems, '\n'), '')
end)
