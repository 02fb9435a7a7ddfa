-- What the surroundings say: variables that are set to nothing, the locale, words that look like numbers.
local host = require 'host'
local t = require 'testing'

local RUNNER = t.quote(host.folder .. '/runner')

local function prints(environment, code)
  local output, exit = t.shell(('%s %s -e %s 2>&1'):format(environment, RUNNER, t.quote(code)))
  t.equal(exit, 0, output)
  return (output:gsub('\n$', ''))
end

t.test('a variable that is set to nothing is not set', function()
  t.equal(prints('RUNNER_RESULTS_DIR=', 'print(require("runs.files").root())'), 'results')
  t.equal(prints('CLICOLOR_FORCE=', 'print(require("console").has_colour(1))'), 'false')
  t.equal(prints('RUNNER_MEM_LIMIT=', 'print(require("torch").ones{1}:item())'), '1')
  t.equal(prints('RUNNER_NO_JIT=', 'print((jit.status()))'), 'true')
  t.equal(prints('XDG_CACHE_HOME= HOME=/h', 'print(require("base.cache_folder")("data"))'), '/h/.cache/lanthorn/data')
  t.equal(prints('OMP_NUM_THREADS=', 'print(require("boot.native").settings().threads.from)'), 'default')
  local output, code = t.shell(("echo 'x = 1' | RUNNER_STARTUP= RUNNER_FULL_ERROR= %s 2>&1"):format(RUNNER))
  t.equal(output, '')
  t.equal(code, 0, output)
end)

t.test('numbers have a point in every locale', function()
  local code = [[
print(os.setlocale("de_DE.UTF-8") ~= false, os.setlocale(nil, "numeric"), os.setlocale("de_DE.UTF-8", "numeric"),
  0.5, require("torch").tensor { 0.5 }, require("optim").Adam(require("nn").Linear { 1, 1 }):lr())]]
  t.matches(prints('', code), '^true\tC\tnil\t0.5\ttensor%(%[0.5000%]%)\t0.001$')
end)

local SCRIPT = [[
local cfg = require('experiment').config { note = 'x', files = { 'a' }, rate = 0.5 }
print(cfg.note, cfg.files[1], cfg.rate)]]

t.test('words that begin like a number are words', function()
  local script = t.write_file(SCRIPT, '.lua')
  for _, word in ipairs { 'info', 'inference', 'infinite', '-inflate', 'nancy', 'nano', '1e5b', 'info.txt' } do
    local output, code = t.runner(script, 'note=' .. word, ('files=[%s]'):format(word))
    t.equal(code, 0, output)
    t.contains(output, ('%s\t%s\t0.5'):format(word, word))
  end
  for _, word in ipairs { 'inf', '-inf', '+inf', 'Infinity', 'nan', '1e999' } do
    local output, code = t.runner(script, 'rate=' .. word)
    t.equal(code, 3, ('%s: %s'):format(word, output))
  end
end)
