-- The pages people read first: their links lead somewhere. What they show is run by pages_test.
local host = require 'host'
local t = require 'testing'

local PAGES = { 'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'scripts/README.md', 'experiments/README.md',
  'bindings/README.md', 'scripts/docs/README.md', 'scripts/docs/first_experiment.md', 'scripts/docs/from_pytorch.md',
  'scripts/docs/from_torch7.md', 'scripts/docs/when_training_goes_wrong.md' }

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = file:read '*a'
  file:close()
  return text
end

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
