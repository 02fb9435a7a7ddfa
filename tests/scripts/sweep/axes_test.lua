-- The axes of a sweep: lists, ranges, draws, zips and seeds, and what is said of those that make no sense.
local axes = require 'sweep.planning.axes'
local fail = require 'fail'
local t = require 'testing'

local function values_of(word) return axes.parse({ word }).axes[1].values end

local function refused(word, pattern)
  local err = t.error_matches(function() axes.parse { word } end, pattern)
  t.equal(fail.code_of(err), 3, word)
end

t.test('a list is an axis in the order written, and one value is an override of every cell', function()
  local parsed = axes.parse { 'optim.lr=0.1,0.01', 'train.epochs=3', '+model.kind=a,b', "~data.shuffle" }
  t.equal(#parsed.axes, 2)
  t.fields(parsed.axes[1], { path = 'optim.lr', op = '', text = 'optim.lr=0.1,0.01' })
  t.equal(parsed.axes[1].values, { '0.1', '0.01' })
  t.fields(parsed.axes[2], { path = 'model.kind', op = '+' })
  t.equal(parsed.overrides, { 'train.epochs=3', '~data.shuffle' })
  t.equal(parsed.seeds, nil)
end)

t.test('commas inside of brackets and quotes belong to a value', function()
  t.equal(values_of "model.branching=[3,3],[2,2,2]", { '[3,3]', '[2,2,2]' })
  t.equal(values_of "sample.prompt='a, b',\"c,d\"", { "'a, b'", '"c,d"' })
  t.equal(values_of 'a.b={x=1,y=2},{x=2,y=1}', { '{x=1,y=2}', '{x=2,y=1}' })
  t.equal(#axes.parse({ 'model.branching=[3,3]' }).axes, 0)
end)

t.test('ranges and spaces are lists of numbers', function()
  t.equal(values_of 'a=range(0,4)', { '0', '1', '2', '3' })
  t.equal(values_of 'a=range(0.1,0.4,0.1)', { '0.1', '0.2', '0.3' })
  t.equal(values_of 'a=linspace(0,1,5)', { '0', '0.25', '0.5', '0.75', '1' })
  t.equal(values_of 'a=logspace(1,100,3)', { '1', '10', '100' })
  t.equal(values_of 'a=linspace(2,3,1)', { '2' })
end)

t.test('what is drawn keeps its bounds', function()
  local parsed = axes.parse { 'a=uniform(0,1)', 'b=loguniform(1e-4,0.1)', 'c=int(1,8)', 'd=choice(x,[1,2],y)' }
  t.fields(parsed.axes[1], { draw = 'uniform', lo = 0, hi = 1 })
  t.fields(parsed.axes[2], { draw = 'loguniform', lo = 1e-4, hi = 0.1 })
  t.fields(parsed.axes[3], { draw = 'int', lo = 1, hi = 8 })
  t.equal(parsed.axes[4].choices, { 'x', '[1,2]', 'y' })
end)

t.test('a zip walks lists of one length together, and seeds are counted', function()
  local parsed = axes.parse { 'zip(data.seq=25,50;data.stride=25,50)', 'seeds=3' }
  t.equal(#parsed.axes, 1)
  t.equal(parsed.axes[1].zip[2].values, { '25', '50' })
  t.equal(parsed.seeds, 3)
end)

t.test('an axis that makes no sense is named, with what would be right', function()
  refused('a=range(4,4)', "axis 'a=range%(4,4%)': range from 4 to 4 is empty")
  refused('a=range(0,4,0)', 'the step must be above 0, got 0')
  refused('a=range(0,x)', "range takes numbers, got 'x'")
  refused('a=range(1)', 'range takes 2 or 3 numbers, got 1')
  refused('a=linspace(0,1,2.5)', 'must be a whole number from 1, got 2.5')
  refused('a=range(0,1,1e-9)', 'values are more than 100000')
  refused('a=logspace(0,1,3)', 'logspace needs numbers above 0, got 0')
  refused('a=int(0.5,3)', 'int takes whole numbers, got 0.5 and 3')
  refused('a=1,,2', 'the value is empty')
  refused('a=1,[2', "expected ',' or ']'")
  refused('zip(a=1,2;b=3)', "zip takes lists such as zip%(a=1,2;b=3,4%), got 'b=3'")
  refused('zip(a=1,2;b=3,4,5)', 'a has 2 values and b has 3; a zip takes lists of one length')
  refused('seeds=0', "seeds must be a whole number from 1, got '0'")
  local err = t.error_matches(function() axes.parse { 'a=1,2', 'zip(a=3,4;b=5,6)' } end, "'a' is varied twice")
  t.equal(fail.code_of(err), 3)
  t.error_matches(function() axes.parse { 'train.seed=1,2', 'seeds=3' } end,
    "'train.seed' is varied twice: by 'train.seed=1,2' and by 'seeds=3'")
  t.error_matches(function() axes.parse { 'optim.lr=1', 'optim.lr=1,2' } end,
    "'optim.lr' is set by 'optim.lr=1' and varied by 'optim.lr=1,2'")
  t.equal(axes.parse { 'train.seed=5', 'seeds=3' }.seeds, 3) -- the first of them
end)
