-- runner report: one file that needs nothing beside it, says what the run's files say, and lets nothing of a run become
-- markup.
local dkjson = require 'dkjson'
local files = require 'files'
local host = require 'host'
local html = require 'report.html'
local runs = require 'testing.runs'
local series = require 'report.series'
local t = require 'testing'

local SCRIPT = [[
local data, experiment, nn, torch, train = require 'data', require 'experiment', require 'nn', require 'torch',
  require 'train'
local cfg = experiment.config { train = { epochs = 3, seed = 3 }, optim = { lr = 0.05 }, note = 'x' }
print(cfg.note)
torch.manual_seed(1)
local x = torch.randn { 40, 3 }
local batches = data.tensors { x = x, y = x:sum(1, true), batch = 4 }
local callback = { name = 'says', on_epoch = function(ctx, record)
  ctx.run:log { kind = 'event', event = 'sample', step = record.step, prompt = '<b>',
    text = '</pre><script>alert(1)</scr' .. 'ipt>&amp;' }
end }
train.fit { model = nn.Sequential { nn.Linear { 3, 1 } }, data = batches, loss = 'mse', optim = cfg.optim,
  options = cfg.train, callbacks = { callback } }]]

local function numbers_of(page)
  return dkjson.decode(page:match '<script type="application/json" id="numbers">(.-)</script>')
end

local ran = runs.run(SCRIPT, "note='<script>alert(2)</script>'")
local out = t.temporary_path() .. '.html'
local told = runs.command('report', ran.folder, '-o', out)
local page = runs.read(out)

t.test('the file is written where it was asked for, and its size is told', function()
  t.equal(ran.code, 0, ran.output)
  t.matches(told, '%.html  1%.%d MB')
  t.is_true(#page < 1.6e6)
end)

t.test('it says what metrics.jsonl says', function()
  local loss
  for _, chart in ipairs(numbers_of(page).charts) do
    if chart.id == 'loss' then loss = chart end
  end
  t.equal(#loss.series[1].points, 30)
  for i, line in ipairs(ran.lines.train) do
    t.equal(loss.series[1].points[i][1], line.step)
    t.near(loss.series[1].points[i][2], line.loss, 1e-9)
  end
  t.contains(page, ('<td class="number">%.6g</td>'):format(ran.lines.train[30].loss))
  t.contains(page, '<h2>Config</h2>')
  t.contains(page, 'train.epochs')
end)

t.test('nothing of a run becomes markup', function()
  t.is_true(not page:find('<script>alert', 1, true))
  t.contains(page, '&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;')
  t.contains(page, '&lt;script&gt;alert(2)&lt;/script&gt;')
  local _, scripts = page:gsub('<script', '')
  t.equal(scripts, 3) -- the numbers, the charts' library, ours
end)

t.test('the page fetches nothing, and lets no other script run', function()
  t.contains(page, "default-src 'none'")
  local own = host.embedded 'report/assets/report.js'
  t.contains(page, html.script_hash(own))
  t.contains(page, '<script>' .. own .. '</script>')
  local at, stop = page:find(host.embedded 'report/assets/echarts.min.js', 1, true)
  local rest = page:sub(1, at - 1) .. page:sub(stop + 1)
  t.is_true(not rest:find ' src=' and not rest:find '<link' and not rest:find '@import')
end)

t.test('a hash is what browsers compute', function()
  t.equal(html.script_hash 'alert(1)', "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='")
end)

t.test('text is escaped, JSON in a script too', function()
  t.equal(html.text '<a href="x">\'&\1', '&lt;a href=&quot;x&quot;&gt;&#39;&amp;\239\191\189')
  t.equal(html.json { '</script>' }, '["\\u003c/script>"]')
end)

t.test('a long run is thinned, its peaks stay', function()
  local folder = t.temporary_folder()
  files.write(folder .. '/manifest.json', '{"format":1}')
  local lines = {}
  for i = 1, 30000 do
    lines[i] = ('{"kind":"train","step":%d,"loss":%d}'):format(i, i == 12345 and 99 or i == 23456 and -99 or i % 7)
  end
  lines[30001] = '{"kind":"train","step":30001,"loss":null,"nonfinite":{"loss":"nan"}}'
  files.write(folder .. '/metrics.jsonl', table.concat(lines, '\n') .. '\n')
  local points = series.read(folder, { train = true }, function(line, add) add('loss', line.step, line.loss) end).loss
  t.is_true(#points <= 8000 and #points >= 2000, tostring(#points))
  local peaks, last = {}, 0
  for _, point in ipairs(points) do
    t.is_true(point[1] > last)
    last = point[1]
    if point[2] and math.abs(point[2]) > 50 then peaks[#peaks + 1] = { point[1], point[2] } end
  end
  t.equal(peaks, { { 12345, 99 }, { 23456, -99 } })
end)

t.test('a run that failed has a page too, in its own folder', function()
  local script = SCRIPT:gsub("loss = 'mse'", "loss = function(m, x, y) if m.training and y:sum():item() > 3 then "
    .. "error 'too much' end return torch.mse_loss(m(x), y) end")
  local failed = runs.run(script)
  t.is_true(failed.code ~= 0, failed.output)
  local output, code = runs.command('report', failed.folder)
  t.equal(code, 0, output)
  local text = runs.read(failed.folder .. '/report.html')
  t.contains(text, '<span class="state bad">FAILED</span>')
  t.contains(text, 'too much')
  output, code = runs.command('report', failed.folder, '-o', runs.root)
  t.equal(code, 2, output)
  t.contains(output, 'is a folder; expected a file, such as report.html')
end)
