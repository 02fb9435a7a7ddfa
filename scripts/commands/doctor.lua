-- runner doctor: what this machine offers and what is wrong with it, each problem with the command that mends it.
-- About a script: --seeds and --gradcheck. Exit 9 when runs would be wrong or painfully slow; warnings alone are exit
-- 0.
local command_line = require 'cli.command_line'
local console = require 'console'
local dkjson = require 'dkjson'
local fail = require 'fail'
local host = require 'host'
local native = require 'boot.native'
local overrides = require 'config.overrides'
local room = require 'base.room'
local run_options = require 'cli.run_options'
local seeds = require 'guards.seeds'

local doctor = { summary = 'Check machine, libraries, threads, data and disk.' }

local MACHINE_UNFIT = 9

function doctor.configure(parser)
  parser:flag '--json':description 'One JSON object per line: each check, then a summary.'
  parser:flag '--quick':description 'Leave the rates of GEMM and memory out.'
  parser:option '--device':argname 'NAME':description 'A device that must be there, such as cuda:0.'
  parser:option '--seeds':argname 'SCRIPT'
    :description 'Whether the seed of a script decides everything: three short starts.'
  parser:option '--gradcheck':argname 'SCRIPT'
    :description 'Whether the gradients of a script\'s model agree with finite differences, in float64.'
  parser:argument 'overrides':args '*':description 'Changes of that script\'s config: a.b=c.'
  run_options.add_threads(parser)
  parser:option '--scripts':argname 'DIR':description 'Take library files from DIR where it has them.'
end

-- The files of doctor/ in the order of the screen; those that take seconds are left out where it must be quick.
local function checks(quick)
  local found = {}
  for _, name in ipairs(room.names 'doctor') do
    local check = room.load('doctor', name)
    if not (quick and check.slow) then
      found[#found + 1] = { name = name, place = check.place or math.huge, look = check.look }
    end
  end
  table.sort(found, function(x, y) return x.place < y.place or x.place == y.place and x.name < y.name end)
  return found
end

local KEYS = { keyorder = { 'kind', 'name', 'mark', 'text', 'fix', 'data', 'ok', 'warnings', 'failures', 'exit_code' } }

local function check_device(name)
  local ok, problem = pcall(require('torch').device, name)
  if not ok and fail.code_of(problem) ~= MACHINE_UNFIT then fail.usage('--device: %s', tostring(problem)) end
end

-- Read before the native module is loaded: pinning narrows the affinity mask that the budget is counted from.
local function new_context(args)
  run_options.set_threads(args)
  local context = { device = args.device, budget = host.cpu_budget() }
  native.allow_any_blas()
  local lanthorn = require 'lanthorn'
  if args.device then check_device(args.device) end
  context.settings, context.diagnostics, context.sha256 = native.settings(), lanthorn.diagnostics, lanthorn.data.sha256
  context.blas = context.settings.blas or { wrong = {} } -- nothing is known where the module was not opened by it
  context.machine, context.libraries = lanthorn.diagnostics.machine(), lanthorn.diagnostics.libraries()
  context.threads, context.memory = lanthorn.torch.get_num_threads(), lanthorn.torch.memory()
  return context
end

local COLOURS = { ok = '32', warn = '33', FAIL = '1;31' }

local function painted(mark)
  local text = ('%-4s'):format(mark == 'none' and '-' or mark)
  if not COLOURS[mark] or not console.has_colour(1) then return text end
  return ('\27[%sm%s\27[0m'):format(COLOURS[mark], text)
end

-- Folds a text at spaces; a word that is longer than the line stays whole, since it is a path or a command.
local function folded(text, width)
  local lines, line = {}, ''
  for word in text:gmatch '%S+' do
    if line ~= '' and #line + 1 + #word > width then
      lines[#lines + 1], line = line, '  ' .. word
    else
      line = line == '' and word or line .. ' ' .. word
    end
  end
  lines[#lines + 1] = line
  return lines
end

local INDENT = 17

local function screen_width() return math.max(60, math.min(100, host.columns())) end

local function show(name, finding, width)
  local first = true
  for _, text in ipairs(finding.text) do
    local aligned = text:find '%S  ' ~= nil -- a table of its own is not folded
    for _, line in ipairs(aligned and { text } or folded(text, width - INDENT)) do
      console.write((first and ('%s  %-10s '):format(painted(finding.mark), name) or (' '):rep(INDENT)) .. line .. '\n')
      first = false
    end
  end
  for _, fix in ipairs(finding.fix) do console.write(('%s> %s\n'):format((' '):rep(INDENT), fix)) end
end

-- Runs the script up to its first train.fit, which checks gradients in place of training (guard G30).
local function gradcheck(script, changes)
  local run, words = command_line.command 'run', { script, unpack(changes) }
  local args = command_line.parse('run', run, words)
  args.gradcheck = true
  return run.run(args, { argv = words, rest = {} })
end

-- Checks of a script stand alone: they tell nothing about the machine.
local function about_script(args)
  local script = args.seeds or args.gradcheck
  if args.seeds and args.gradcheck then fail.usage('--seeds and --gradcheck cannot be used together') end
  if not host.stat(script) then fail.usage("script '%s' does not exist", script) end
  run_options.set_threads(args)
  if args.gradcheck then return gradcheck(script, args.overrides) end
  local finding, code = seeds.check(script, args.overrides)
  show('seeds', finding, screen_width())
  return code
end

function doctor.run(args)
  if args.seeds or args.gradcheck then return about_script(args) end
  if #args.overrides > 0 then
    local word = args.overrides[1]
    fail.usage(overrides.looks_like(word) and "the override '%s' needs --seeds SCRIPT or --gradcheck SCRIPT"
      or "doctor looks at everything and takes no '%s'", word)
  end
  local context = new_context(args)
  local count = { ok = 0, warn = 0, FAIL = 0, none = 0 }
  local width = screen_width()
  for _, check in ipairs(checks(args.quick)) do
    local finding = check.look(context)
    count[finding.mark] = count[finding.mark] + 1
    if args.json then
      console.write(dkjson.encode({ kind = 'check', name = check.name, mark = finding.mark:lower(),
        text = table.concat(finding.text, '\n'), fix = #finding.fix > 0 and finding.fix or nil, data = finding.data },
        KEYS) .. '\n')
    else
      show(check.name, finding, width)
    end
  end
  local code = count.FAIL > 0 and MACHINE_UNFIT or 0
  if args.json then
    local summary = { kind = 'summary', ok = count.ok, warnings = count.warn, failures = count.FAIL, exit_code = code }
    console.write(dkjson.encode(summary, KEYS) .. '\n')
  else
    console.write(('%d ok, %d warning%s, %d failed\n'):format(count.ok, count.warn, count.warn == 1 and '' or 's',
      count.FAIL))
  end
  return code
end

return doctor
