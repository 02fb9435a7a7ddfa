-- Everything that the README and the pages of scripts/docs show is run: each Lua block as a program, the lines of a
-- prompt at one, the commands in a shell, in their order and in one folder for each page. Trainings are cut short.
local files = require 'files'
local host = require 'host'
local processes = require 'testing.processes'
local t = require 'testing'
local texts = require 'testing.texts'
local trainings = require 'testing.trainings'

local ROOT = host.cwd()
local BIN = t.temporary_folder()
t.shell(('ln -s %s/runner %s/runner'):format(t.quote(host.folder), t.quote(BIN)))

local function pages()
  local found = { 'README.md' }
  for _, name in ipairs(host.listdir 'scripts/docs') do
    if name:find '%.md$' then found[#found + 1] = 'scripts/docs/' .. name end
  end
  return found
end

-- { language =, text = } of each block.
local function blocks_of(page)
  local found = {}
  for language, text in files.read(page):gmatch '\n```(%l*)\n(.-)\n```' do
    found[#found + 1] = { language = language, text = text }
  end
  return found
end

-- The folder in which the commands of a page run.
local function workplace()
  local folder = t.temporary_folder()
  for _, name in ipairs { 'experiments', 'scripts', 'tests' } do
    t.shell(('ln -s %s/%s %s/%s'):format(t.quote(ROOT), name, t.quote(folder), name))
  end
  files.write(folder .. '/my.txt', texts.words(90000))
  return { folder = folder, at = folder }
end

local function shell(place, command)
  return t.shell(('cd %s && export PATH=%s:$PATH && %s 2>&1'):format(t.quote(place.at), t.quote(BIN), command))
end

local function run_program(place, text)
  local name = text:match '^%-%- ([a-z0-9_]+): '
  local path = ('%s/%s.lua'):format(place.at, name or 'block')
  files.write(path, text .. '\n')
  local output, code = shell(place, 'runner ' .. t.quote(path))
  t.equal(code, 0, text .. '\n' .. output)
end

local function run_transcript(place, text)
  local lines, wants_error = {}, text:find '\nerror: ' ~= nil
  for line in (text .. '\n'):gmatch '([^\n]*)\n' do
    lines[#lines + 1] = line:match '^> (.*)$'
  end
  local path = t.write_file(table.concat(lines, '\n') .. '\n')
  local output, code = shell(place, 'runner < ' .. t.quote(path))
  t.equal(code, wants_error and 1 or 0, output)
end

-- What is added to commands that would train for long.
local function shortened(line)
  if line:find '%-%-dry%-run' or line:find '%-%-fast%-dev%-run' or line:find 'verify%-resume' then return line end
  if line:find '^runner experiments/shakespeare' then
    local chars = line:find 'data%.file' and '' or ' data.chars=70000'
    local leave = line:find '%-%-max%-time' and ' --stop-after 2' or ''
    return line .. chars .. ' train.max_steps=4' .. leave
  end
  return line:find '^runner sweep experiments/xor' and line .. ' train.epochs=3' or line
end

-- The newest sweep, where a page names one as an example.
local function with_names(place, line)
  if not line:find 'sweep%-1a2b3c4d' then return line end
  local newest
  for _, name in ipairs(host.listdir(place.at .. '/results/xor')) do
    if name:find '^sweep%-' then newest = name end
  end
  return (line:gsub('sweep%-1a2b3c4d', newest))
end

local started = 0

-- A training to attach to.
local function start_training(place)
  started = started + 1
  local name = 'background' .. started
  local script = trainings.characters(place.at .. '/my.txt', { data = 'chars = 3000',
    train = 'epochs = 1000000, device = "cpu"', more = 'guards = { no_learning = "off" }' })
  files.write(('%s/%s.lua'):format(place.at, name), script .. 'fit()')
  local process = processes.start(('cd %s && exec %s/runner %s.lua'):format(t.quote(place.at), t.quote(BIN), name),
    t.temporary_path())
  process:wait_for_text(('%s/results/%s/latest/metrics.jsonl'):format(place.at, name), '"step":3,')
  return process
end

local function run_command(place, line)
  local folder = line:match '^cd (%S+)$'
  if folder then
    place.at = place.at .. '/' .. folder
    return
  end
  local background = line:find '^runner attach' and start_training(place)
  local command = shortened(with_names(place, line:gsub('%s+#.*$', '')))
  local output, code = shell(place, command .. ' < /dev/null')
  local allowed = code == 0 or code == 75 and command:find '%-%-stop%-after' ~= nil
  t.is_true(allowed, ('%s: exit %d: %s'):format(command, code, output))
  if background then
    background:signal 'TERM'
    background:wait()
  end
end

local function run_commands(place, text)
  local count = 0
  for line in (text .. '\n'):gmatch '([^\n]*)\n' do
    if line:find '^runner%f[%W]' or line:find '^cd ' then
      count = count + 1
      run_command(place, line)
    end
  end
  return count
end

for _, page in ipairs(pages()) do
  t.test('what ' .. page .. ' shows runs', function()
    local place, count = workplace(), 0
    for _, block in ipairs(blocks_of(page)) do
      if block.language == 'lua' then
        run_program(place, block.text)
        count = count + 1
      elseif block.text:find '^> ' then
        run_transcript(place, block.text)
        count = count + 1
      else
        count = count + run_commands(place, block.text)
      end
    end
    t.is_true(page:find 'docs/README' ~= nil or count >= 1, page .. ' shows nothing that runs')
  end)
end

t.test('the tutorial runs from its first to its last step', function()
  local place, steps = workplace(), 0
  for _, name in ipairs(host.listdir 'experiments/tutorial') do
    if name:find '^%d_[%l_]+%.lua$' then
      steps = steps + 1
      local output, code = shell(place, 'runner experiments/tutorial/' .. name)
      t.equal(code, 0, name .. ': ' .. output)
    end
  end
  t.equal(steps, 6)
end)
