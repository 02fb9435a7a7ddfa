local chunk = require 'prompt.chunk'
local t = require 'testing'

local RUNNER = t.quote(require('host').folder .. '/runner')

local function feed(text)
  local path = t.write_file(text)
  local pipe = io.popen(('{ %s < %s ; } 2>&1; echo "<exit $?>"'):format(RUNNER, path))
  local output, code = pipe:read('*a'):match('^(.*)<exit (%d+)>\n$')
  pipe:close()
  return output, tonumber(code)
end

local function expect(text, wanted, code)
  local output, got = feed(text)
  t.equal(output, wanted)
  t.equal(got, code or 0)
end

t.test('values print themselves without a prompt', function()
  expect('1 + 1\nx = 3\nx\n"a"\n{ 1, b = { true } }\nnil\n', "2\n3\n'a'\n{ 1, b = { true } }\nnil\n")
  expect('= 4\n', '4\n')
end)

t.test('an expression behind statements gives its value', function()
  expect('x = 3; x\ny = 1; y, x\nx = 4; x;\nfoo bar\n',
    "3\n1\n3\nerror: stdin:4: '=' expected near 'bar'\n  4 | foo bar\n", 1)
end)

t.test('tensors tell type, shape and device, models their parameters', function()
  expect('torch.ones{2, 2}\ntorch.arange(3)\nnn.Sequential { { "a", nn.Linear { 2, 3 } }, nn.Tanh() }\n', [==[
tensor([[1., 1.],
        [1., 1.]])
[float32 (2, 2) cpu]
tensor([0, 1, 2])
[int64 (3,) cpu]
Sequential
  (a) Linear(2, 3)  9  weight (3, 2), bias (3)
  (1) Tanh
9 parameters
]==])
end)

t.test('a semicolon at the end silences', function()
  expect('1 + 1;\nx = 5;\nx\n', '5\n')
end)

t.test('all results are shown, and calls without one show nothing', function()
  expect('print(1)\nselect(1, 1, nil, 3)\n', '1\n1\nnil\n3\n')
end)

t.test('a chunk goes on while the parser wants more', function()
  expect('for i = 1, 2 do\n\nprint(i)\nend\nfunction f(a,\nb) return a * b end\nf(2,\n3)\n', '1\n2\n6\n')
end)

t.test('errors tell the line, go on, and set the exit code', function()
  local output, code = feed('x = 1\nx = = 2\nerror("bad")\nx\n')
  t.contains(output, "error: stdin:2: unexpected symbol near '='\n")
  t.contains(output, 'error: stdin:3: bad\n')
  t.matches(output, '\n1\n$')
  t.equal(code, 1, output)
end)

t.test('an error tells the line of its input, and shows it', function()
  local output = feed('x = torch.ones{2}\nx[5]\ny = 1; x[6]\nx[7] -- a comment\n')
  for line, source in pairs { [2] = 'x[5]', [3] = 'y = 1; x[6]', [4] = 'x[7] -- a comment' } do
    t.contains(output, ('\n  %d | %s\n'):format(line, source))
  end
end)

t.test('an error without a position gets one', function()
  t.contains(feed('\n\nerror({}, 0)\n'), 'error: stdin:3: ')
end)

t.test('an unfinished chunk at the end is an error', function()
  local output, code = feed('1\nfunction f(\n')
  t.matches(output, "^1\nerror: stdin:2: .*near '<eof>'\n$")
  t.equal(code, 1, output)
end)

t.test('the last value is kept', function()
  expect('7 * 6\n_LAST + 1\n_RESULTS[1]\n', '42\n43\n42\n')
end)

t.test('? explains a name, ?? searches', function()
  t.matches(feed('? experiment.config\n'), '^experiment.config%(defaults%)')
  t.contains(feed('?? Damerau\n'), 'nearest.distance(a, b)')
  t.contains(feed('?? distance damerau\n'), 'nearest.distance(a, b)')
  t.contains(feed('?? Damerau nosuchword\n'), "nothing mentions 'Damerau nosuchword'")
  t.contains(feed('? nothing_of_this_name\n'), 'no documentation')
end)

t.test('? and ?? know the operators of torch', function()
  t.matches(feed('? torch.gru\n'), 'torch%.gru%(Tensor input, Tensor hx.-An operator of LibTorch')
  t.contains(feed('? x:masked_fill\n'), 'torch.masked_fill(Tensor self, Tensor mask')
  t.matches(feed('? x:backward\n'), '^Tensor:backward')
  t.contains(feed('? torch.no_such_operator\n'), "no documentation for 'torch.no_such_operator'")
  t.contains(feed('?? log_softmax\n'), 'operators of torch: ')
end)

t.test('completion reaches operators, methods and parts', function()
  local completion = require 'prompt.completion'
  _G.torch, _G.net = require 'torch', require('nn').Linear { 2, 3 }
  _G.vector = _G.torch.ones { 2 }
  t.equal(completion.complete('torch.logical_x'), { 'logical_xor', 'logical_xor_' })
  t.equal(completion.complete('vector:masked_scatter'), { 'masked_scatter', 'masked_scatter_' })
  t.equal(completion.complete('vector:element_'), { 'element_size' })
  t.equal((completion.complete('vector.requires_g'))[1], 'requires_grad')
  t.equal(completion.complete('net.wei'), { 'weight' })
  t.equal(completion.complete('net:named_p'), { 'named_parameters' })
  t.equal(completion.complete('net.no_such'), {})
  _G.torch, _G.net, _G.vector = nil, nil, nil
end)

t.test('compile tells unfinished from wrong', function()
  t.equal(select(3, chunk.compile('f(', 1)), true)
  t.equal(select(3, chunk.compile('x +', 1)), true)
  t.is_false(select(3, chunk.compile('x = )', 1)))
end)

t.test('completion offers globals, fields and methods', function()
  local completion = require 'prompt.completion'
  local found, length = completion.complete('x = string.for')
  t.equal(found, { 'format' })
  t.equal(length, 3)
  t.equal(completion.complete('("x"):nothing'), {})
  t.equal(completion.complete('coro'), { 'coroutine' })
  local listed = function() return { 'listed' } end
  _G.some_object = setmetatable({ field = 1 }, { __index = { method = print }, __complete = listed })
  t.equal(completion.complete('some_object.'), { 'field', 'listed', 'method' })
  t.equal(completion.complete('some_object:me'), { 'method' })
  t.equal(completion.complete('dofile "tests/scr'), { 'scripts/' })
end)
