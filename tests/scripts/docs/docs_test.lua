-- The pages people read first: their Lua runs, their links lead somewhere, the options they name exist.
local host = require 'host'
local t = require 'testing'

local PAGES = { 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'scripts/README.md', 'experiments/README.md',
  'bindings/README.md' }

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read '*a'
  file:close()
  return text
end

t.test('every Lua block of the README runs', function()
  local count = 0
  for block in read('README.md'):gmatch '```lua\n(.-)```' do
    count = count + 1
    local output, code = t.runner(t.write_file(block))
    t.equal(code, 0, output)
  end
  t.is_true(count >= 2, count .. ' blocks')
end)

t.test('links and paths lead to files', function()
  for _, page in ipairs(PAGES) do
    for target in read(page):gmatch '%]%(([%w_./-]+)%)' do
      local folder = page:match '^(.*/)' or ''
      t.is_true(host.stat(folder .. target) ~= nil, page .. ' -> ' .. target)
    end
    for path in read(page):gmatch '`(%l%l+/[%w_/]+%.%l+)`' do
      local example = path:match '/x%.%l+$' or path:match '/x_test'
      t.is_true(example ~= nil or host.stat(path) ~= nil, page .. ' names ' .. path)
    end
  end
end)

t.test('the commands of the README parse and their overrides fit', function()
  local count = 0
  for line in read('README.md'):gmatch '\nrunner (experiments/[^\n#]*)' do
    if not line:find 'data.file' then
      count = count + 1
      local output, code = t.shell(('%s %s --dry-run'):format(t.quote(host.folder .. '/runner'), line))
      t.equal(code, 0, ('%s: %s'):format(line, output))
    end
  end
  t.is_true(count >= 4, count .. ' commands')
end)
