-- Options that the engine declares: what Lua gets of them, and what the engine says to wrong ones that come past the
-- check of Lua.
local data = require 'data'
local host = require 'host'
local native = require 'lanthorn'
local nn = require 'nn'
local optim = require 'optim'
local specs = require 'config.specs'
local t = require 'testing'
local torch = require 'torch'

t.test('rows carry type, default, range and meaning into the specs', function()
  local epochs = host.option_rows().train.epochs
  t.equal(epochs[1], 'int')
  t.equal(epochs[2], 1)
  t.equal(epochs.min, 1)
  t.is_true(#epochs.meaning > 10)
  t.equal(specs.train.epochs.min, 1)
  t.equal(specs.tscore.mode.one_of, { 'exact', 'loop' })
  t.equal(specs.select.scales[2], { 1, 0.15, 0.05 })
  t.equal(specs.eval.metrics[1], 'list?')
  t.is_true(specs.optim.clip_norm ~= nil and specs.optim.lr ~= nil)
end)

local function build(sections, guards)
  local net, x = nn.Linear { 2, 1 }, torch.randn { 8, 2 }
  local set = data.tensors { x = x, y = x:sum { dim = 1, keepdim = true }, batch = 4 }
  return native.train.new { model = net, train = set.train, optimizer = optim.SGD(net, { lr = 0.1 }), loss = 'mse',
    sections = sections, guards = guards }
end

t.test('what is left out has its default, what is given counts', function()
  t.equal(build(nil):planned_steps(), 2)
  t.equal(build { train = { epochs = 3 } }:planned_steps(), 6)
  t.equal(build { train = { epochs = 3, max_steps = 4 }, eval = { off = true } }:planned_steps(), 4)
  t.equal(native.train.planned_updates({ epochs = 2, accumulate = 4 }, 10), 6)
end)

t.test('wrong options are named, with what would be right', function()
  for _, case in ipairs {
    { { train = { epoch = 1 } }, "train: unknown option 'epoch'; did you mean 'epochs'?" },
    { { train = { epochs = 0 } }, "train: option 'epochs' must be at least 1, got 0" },
    { { train = { epochs = 1.5 } }, "train: option 'epochs' must be an int, got number 1.5" },
    { { train = { precision = 'fp16' } },
      "train: option 'precision' is 'fp16', expected one of fp32, fp32_split, bf16" },
    { { train = { emulate = 1 } }, "train: option 'emulate' must be a boolean, got number 1" },
    { { tscore = 3 }, 'tscore: expected a table of options, got number 3' },
    { { eval = { metrics = { 1 } } }, "eval: option 'metrics' must be a list of strings, got number 1" },
    { { optim = { clip_norm = -1 } }, "optim: option 'clip_norm' must be at least 0, got -1" },
    { { optim = { clip_norm = 0 / 0 } }, "optim: option 'clip_norm' must be a number" },
  } do
    local ok, problem = pcall(build, case[1])
    t.is_false(ok, case[2])
    t.contains(tostring(problem), case[2])
  end
  local ok, problem = pcall(build, nil, { levels = { slow_step = 'of' } })
  t.is_false(ok)
  t.contains(tostring(problem), "guards: option 'levels': entry 'slow_step' must be one of its words, got string 'of'")
end)

t.test('every option of a config has a meaning, but those that are torch.optim\'s', function()
  local without = {}
  for _, sections in ipairs { specs.when_present, specs.training } do
    for _, section in ipairs(sections) do
      for name, row in pairs(specs[section]) do
        if type(row) ~= 'table' or not row.meaning then without[#without + 1] = section .. '.' .. name end
      end
    end
  end
  table.sort(without)
  t.equal(without, { 'optim.alpha', 'optim.beta1', 'optim.beta2', 'optim.centered', 'optim.dampening', 'optim.eps',
    'optim.lr', 'optim.momentum', 'optim.nesterov', 'optim.weight_decay' })
end)
