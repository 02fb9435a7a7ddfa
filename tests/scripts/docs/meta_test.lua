-- The generated documentation is up to date, and what it shows works.
local api_docs = require 'reference.docs'
local host = require 'host'
local t = require 'testing'

local RUNNER = t.quote(host.folder .. '/runner')

t.test('regenerating scripts/meta leaves no difference', function()
  local folder = t.temporary_folder()
  local output, code = t.shell(('RUNNER=%s scripts/meta/generate %s'):format(RUNNER, folder))
  t.equal(output, '')
  t.equal(code, 0, output)
  for _, name in ipairs { 'api.md', 'lanthorn.lua' } do
    local difference = t.shell(('diff scripts/meta/%s %s/%s | head -n 20'):format(name, folder, name))
    t.equal(difference, '', ('scripts/meta/%s is out of date; run scripts/meta/generate and commit'):format(name))
  end
end)

t.test('every row has a doc and a signature that begins with its name', function()
  for _, row in ipairs(api_docs.rows()) do
    t.is_true(row.doc ~= nil and row.signature ~= nil, row.name)
    if not row.lua then
      t.is_true(#row.doc > 0, row.name .. ' has no doc')
      t.equal(row.signature:sub(1, #row.name + 1), row.name .. '(')
    end
  end
end)

t.test('every example runs at the prompt', function()
  local environment = setmetatable({}, { __index = _G })
  for _, name in ipairs { 'torch', 'nn', 'optim', 'tscore', 'data', 'train', 'models' } do
    environment[name] = require(name)
  end
  local count = 0
  for _, row in ipairs(api_docs.rows()) do
    if row.example then
      count = count + 1
      local chunk = load('return ' .. row.example, '=example of ' .. row.name, 't', environment)
        or assert(load(row.example, '=example of ' .. row.name, 't', environment))
      local ok, err = pcall(chunk)
      t.is_true(ok, ('%s: %s: %s'):format(row.name, row.example, tostring(err)))
    end
  end
  t.is_true(count >= 20, count .. ' examples')
end)

t.test('the stubs compile and declare what users require', function()
  local file = assert(io.open 'scripts/meta/lanthorn.lua')
  local text = file:read '*a'
  file:close()
  t.is_true(loadstring(text) ~= nil)
  for _, part in ipairs {
    '---@class Tensor', 'function torch.tensor(', 'function nn.Linear(', 'function Module:parameters()',
    'function optim.Adam(', 'function train.fit(', 'function data.text(', 'function experiment.config(',
    'function model.define(', 'function models.char_rnn(', 'function callbacks.early_stop(',
    '---@param in_features integer' } do
    t.contains(text, part)
  end
end)
