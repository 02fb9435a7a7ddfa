-- A session at the prompt as a person has it, in a real terminal: tmux plays it.
local host = require 'host'
local runs = require 'testing.runs'
local t = require 'testing'
local texts = require 'testing.texts'

local SOCKET = t.temporary_path():match '[^/]*$'
local FILE = runs.write('text.txt', texts.words(3000))

local function tmux(...)
  local words = { 'tmux', '-f', '/dev/null', '-L', SOCKET }
  for _, word in ipairs { ... } do words[#words + 1] = t.quote(word) end
  local output, code = t.shell(table.concat(words, ' '))
  t.equal(code, 0, output)
  return output
end

local Terminal = {}
Terminal.__index = Terminal

local function close()
  t.shell(('tmux -L %s kill-server 2>/dev/null'):format(SOCKET))
  t.wait_until('the end of the terminal', function()
    local _, code = t.shell(('tmux -L %s list-sessions 2>/dev/null'):format(SOCKET))
    return code ~= 0
  end)
end

-- A terminal with the prompt in it; `environment` as in `env`.
local function open(width, environment)
  close() -- a test that failed left it open
  local command = ('cd %s && exec env RUNNER_RESULTS_DIR=%s/results RUNNER_HISTORY=%s/history LC_ALL=C.UTF-8 %s %s')
    :format(runs.root, runs.root, runs.root, environment or '', runs.RUNNER)
  tmux('new-session', '-d', '-s', 's', '-x', tostring(width or 80), '-y', '60', 'sh', '-c', command)
  local terminal = setmetatable({}, Terminal)
  terminal:wait_for('? for help')
  return terminal
end

-- What it shows, and what has gone by.
function Terminal.text()
  return tmux('capture-pane', '-p', '-J', '-t', 's', '-S', '-1000')
end

function Terminal:wait_for(text)
  t.wait_until(("'%s' on the terminal"):format(text), function() return self.text():find(text, 1, true) end, nil,
    self.text)
end

-- How often a text has been shown.
function Terminal.count(text)
  local _, count = Terminal.text():gsub((text:gsub('%p', '%%%0')), '')
  return count
end

function Terminal.keys(...) tmux('send-keys', '-t', 's', ...) end
function Terminal.type(text) tmux('send-keys', '-t', 's', '-l', text) end

-- Types a line and waits until its end is answered by a text.
function Terminal:enter(line, answer)
  self.type(line)
  self.keys 'Enter'
  if answer then self:wait_for(answer) end
end

function Terminal.paste(text)
  tmux('load-buffer', '-b', 'b', runs.write('paste.txt', text))
  tmux('paste-buffer', '-p', '-b', 'b', '-t', 's')
end

t.test('functions over several lines, pastes, completion, help, errors and slices', function()
  local terminal = open()
  terminal:enter('function double(x)')
  terminal:enter('  return 2 * x')
  terminal:enter('end')
  terminal:enter('double(21)', '\n42\n')
  -- A paste is one input: its locals hold to its end, its empty lines belong to it.
  terminal.paste('local a = 5\nfunction g()\n\n\treturn a * 3\n\nend\nprint("pasted", g())\n')
  terminal:wait_for('pasted  15')
  -- Expressions are no chunk together: each is an input.
  terminal.paste('100 + 1\n100 + 2\n')
  terminal:wait_for('\n101\n102\n')
  terminal:enter('cfg = { optim = { learning = { rate = 0.25 } } }')
  terminal.type('cfg.optim.lear')
  terminal.keys 'Tab'
  terminal.type('.ra')
  terminal.keys('Tab', 'Enter')
  terminal:wait_for('\n0.25\n')
  terminal.type('train.fit { opti')
  terminal.keys('Tab', 'Tab')
  terminal:wait_for('optim    options')
  terminal.keys 'C-u'
  terminal:enter('? torch.gru', 'torch.gru(Tensor input, Tensor hx')
  terminal:enter('x = torch.zeros{3, 4}; x[{1, {0, 2}}] = 7; x', '[7., 7., 0., 0.]')
  terminal:enter('torch.ones{2, 3}:mm(torch.ones{2, 3})', 'mat1 and mat2 shapes cannot be multiplied')
  t.contains(terminal.text(), ' | torch.ones{2, 3}:mm(torch.ones{2, 3})')
  terminal:enter('local gone = 1')
  terminal:enter('gone', "'gone' was local, and a local ends with its line")
  -- Ctrl-R finds an input that was made.
  terminal.keys 'C-r'
  terminal.type('double(2')
  terminal.keys('Enter', 'Enter')
  t.wait_until('42 again', function() return terminal.count '\n42\n' == 2 end, nil, terminal.text)
  terminal:enter('exit')
  close()
end)

t.test('Ctrl-C stops a loop in Lua, compiled code and native calls, and the session goes on', function()
  local terminal = open()
  terminal:enter('while true do end')
  host.sleep(0.5)
  terminal.keys 'C-c'
  terminal:wait_for('interrupted')
  local module = runs.write('spin.lua', 'return function() local i = 0 while true do i = i + 1 end end')
  terminal:enter(('spin = dofile %q'):format(module))
  terminal:enter('spin()')
  host.sleep(0.5)
  terminal.keys 'C-c'
  t.wait_until('the second', function() return terminal.count 'interrupted' == 2 end, nil, terminal.text)
  terminal:enter('x = torch.ones{100, 100}')
  terminal:enter('for i = 1, 1e9 do y = x:mm(x) end')
  host.sleep(0.5)
  terminal.keys 'C-c'
  t.wait_until('the third', function() return terminal.count 'interrupted' == 3 end, nil, terminal.text)
  terminal:enter('1 + 1', '\n2\n')
  close()
end)

t.test('a live training: a changed rate, a pause, a plot, and the saved session runs from the shell', function()
  local terminal = open()
  terminal:enter(('text = data.text { file = %q, batch = 4, seq = 8, stride = 8, allow_leak = true }'):format(FILE))
  terminal:enter('net = models.char_rnn { vocab = text.vocab_size, embed = 8, hidden = 16, layers = 1 }')
  terminal:enter('fit = train.start { model = net, data = text, optim = { lr = 0.01 }, '
    .. 'options = { epochs = 100000, device = "cpu" } }', 'measured')
  terminal:enter('fit:step(10)', 'update 10/')
  terminal:enter('fit.lr = 1e-3')
  terminal:enter('fit.lr', '\n0.001\n')
  terminal:enter('fit:run()')
  host.sleep(1)
  terminal.keys 'C-c'
  t.wait_until('the pause', function() return terminal.text():find '\nupdate [%d,]+/[%d,]+ [^\n]*lr 0%.001' end, nil,
    terminal.text)
  terminal:enter('fit:plot()', '┤')
  terminal:enter('%save session.lua', 'runner session.lua runs it')
  terminal.keys 'C-d'
  terminal:wait_for('save it and leave? [Y/n]')
  terminal:enter('n')
  terminal:enter('fit:close().steps > 10', '\ntrue\n')
  terminal:enter('exit')
  close()
  -- What ran until somebody paused it would run for ever.
  local saved = runs.read(runs.root .. '/session.lua')
  t.contains(saved, 'fit.lr = 1e-3\n')
  runs.write('session.lua', (saved:gsub('fit:run%(%)', 'fit:step(1)')))
  local output, code = runs.command(runs.root .. '/session.lua')
  t.equal(code, 0, output)
  local ran = runs.latest 'session'
  t.fields(ran.lines.intervention[1], { step = 10, by = 'script', change = 'optim.lr 0.01 -> 0.001' })
  t.fields(runs.latest('prompt').lines.intervention[1], { step = 10, by = 'prompt', text = 'fit.lr = 1e-3' })
  t.contains(runs.read(runs.latest('prompt').folder .. '/src/prompt.lua'), 'net = models.char_rnn')
end)

t.test('the history is kept for the next session, and only in plain files', function()
  local terminal = open()
  terminal:enter('remembered = 6 * 7', '> ')
  terminal:enter('exit')
  t.wait_until('the history', function()
    return host.stat(runs.root .. '/history') and runs.read(runs.root .. '/history'):find('remembered', 1, true)
  end)
  terminal = open()
  terminal.keys 'Up'
  terminal.keys 'Up'
  terminal:wait_for('remembered = 6 * 7')
  close()
  -- What is no plain file, such as /dev/null, is neither read nor made its owner's alone. Here a pipe stands for it.
  local pipe = runs.root .. '/pipe'
  t.shell(('mkfifo -m 666 %s'):format(t.quote(pipe)))
  local command = ('RUNNER_HISTORY=%s %s; stat -c "mode %%a" %s; sleep 60'):format(pipe, runs.RUNNER, pipe)
  tmux('new-session', '-d', '-s', 's', 'sh', '-c', command)
  Terminal:wait_for('? for help')
  Terminal:enter('exit', 'mode 666')
  close()
end)

t.test('sixty columns, no colours, and a dumb terminal look right', function()
  local terminal = open(60, 'NO_COLOR=1')
  terminal:enter('{ a = 1, b = "x" }', "{ a = 1, b = 'x' }")
  terminal:enter('?', 'leaves')
  for line in tmux('capture-pane', '-p', '-t', 's'):gmatch '[^\n]+' do t.is_true(#line <= 60, line) end
  close()
  terminal = open(80, 'TERM=dumb')
  terminal:enter('{ a = 1, b = "x" }', "{ a = 1, b = 'x' }")
  t.is_false(terminal.text():find('\27', 1, true))
  t.is_false(terminal.text():find('2004', 1, true))
  close()
end)
