-- Guard G41: text that no terminal knows, closed streams, odd names. Nothing of it stops a run or spoils a file.
local encoding = require 'base.encoding'
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'

local SCRIPT = [[
local experiment, data, train = require 'experiment', require 'data', require 'train'
local nn, torch = require 'nn', require 'torch'
local cfg = experiment.config { train = { epochs = 1, seed = 1, device = 'cpu' }, note = { text = 'none' } }
local x = torch.randn { 40, 3 }
print('gr\195\188n \255', cfg.note.text)
train.fit { model = nn.Linear { 3, 1 }, data = data.tensors { x = x, y = x:sum { dim = 1, keepdim = true }, batch = 4 },
  loss = function(m, a, b) return torch.mse_loss(m(a), b) end, options = cfg.train,
  callbacks = { { on_step = function(ctx, r)
    ctx.print('st\195\164rke \254')
    ctx.log { kind = 'event', event = 'odd', text = '\255', step = r.step }
  end } } }
print 'end']]

-- Runs the script in a folder with an odd name, under a shell prefix and redirections.
local function run(prefix, redirection)
  local folder = runs.root .. '/gr\195\188n \255'
  t.shell('mkdir -p ' .. t.quote(folder))
  local path = folder .. '/odd.lua'
  local file = assert(io.open(path, 'wb'))
  file:write(SCRIPT)
  file:close()
  local results = folder .. '/results'
  t.shell('rm -rf ' .. t.quote(results))
  local output, code = t.shell(('env RUNNER_RESULTS_DIR=%s %s %s %s %s %s'):format(t.quote(results), prefix,
    runs.RUNNER, t.quote(path), t.quote 'note.text=\195\159\253', redirection or ''))
  return output, code, results .. '/odd/latest'
end

t.test('guard G41: odd bytes are shown as \\xNN, UTF-8 only where the locale has it', function()
  t.equal(encoding.escape('plain\ttext\n', false), 'plain\ttext\n')
  t.equal(encoding.escape('gr\195\188n', true), 'gr\195\188n')
  t.equal(encoding.escape('gr\195\188n', false), 'gr\\xC3\\xBCn')
  t.equal(encoding.escape('a\255b\195', true), 'a\\xFFb\\xC3')
  t.equal(encoding.escape('\240\159\142\178 \237\160\128 \192\175', true),
    '\240\159\142\178 \\xED\\xA0\\x80 \\xC0\\xAF')
  t.equal(encoding.escape('bell\7', true), 'bell\\x07')
end)

t.test('guard G41: under LC_ALL=C the words for people are ASCII and a script prints its bytes', function()
  local output, code, folder = run 'LC_ALL=C'
  t.equal(code, 0, output)
  t.contains(output, 'gr\195\188n \255\t\195\159\253\n') -- stdout carries data
  t.contains(output, 'st\\xC3\\xA4rke \\xFE')
  t.contains(output, 'gr\\xC3\\xBCn \\xFF/results')
  t.contains(runs.read(folder .. '/stdout.log'), 'gr\195\188n \\xFF\t\195\159\\xFD\n') -- files are UTF-8
  t.equal(runs.json(folder .. '/exit.json').state, 'FINISHED')
end)

t.test('guard G41: a UTF-8 locale keeps what is UTF-8', function()
  t.contains((run 'LC_ALL=C.UTF-8'), 'st\195\164rke \\xFE')
end)

t.test('guard G41: closed streams stop nothing, and nothing of them lands in a file', function()
  for _, redirection in ipairs { '2>&-', '>&- 2>&-', '>&- 2>&- <&-', '2>/dev/full', '>/dev/full' } do
    local _, code, folder = run('LC_ALL=C', redirection)
    t.equal(code, 0, redirection)
    t.equal(runs.json(folder .. '/exit.json').state, 'FINISHED')
    t.is_true(#runs.rows(folder .. '/metrics.jsonl') > 10, 'every line is JSON')
    t.contains(runs.read(folder .. '/stdout.log'), 'end\n')
  end
end)

t.test('guard G41: a script that closes its streams trains on', function()
  local ran = runs.run("io.stderr:close() io.stdout:close()\n" .. SCRIPT)
  t.equal(ran.code, 0, ran.output)
  t.equal(ran.exit.state, 'FINISHED')
end)

t.test('guard G41: a reader that goes away stops nothing', function()
  local _, _, folder = run('LC_ALL=C', '2>&1 | head -1')
  t.wait_until('the end of the run', function() return host.stat(folder .. '/exit.json') end)
  t.equal(runs.json(folder .. '/exit.json').state, 'FINISHED')
end)
