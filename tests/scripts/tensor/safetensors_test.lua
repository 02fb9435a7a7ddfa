-- Weight files: what we write we read, what PyTorch's side writes we read, and broken files are refused.
local host = require 'host'
local nn = require 'nn'
local t = require 'testing'
local torch = require 'torch'

local function ids(values) return torch.tensor(values, { dtype = 'int64' }) end

local function temporary() return t.write_file('', '.safetensors') end

t.test('every dtype survives save and load', function()
  local path, given = temporary(), {}
  for _, dtype in ipairs { 'float32', 'float64', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8',
    'bool' } do
    given[dtype] = torch.arange(6):view(2, 3):to(dtype)
  end
  given.scalar, given.empty = torch.tensor(2.5), torch.zeros { 0, 3 }
  given['a.b/c d'] = torch.tensor { 0 / 0, math.huge }
  torch.save(given, path)
  local loaded, metadata = torch.load(path)
  t.equal(metadata, {})
  for name, tensor in pairs(given) do
    t.equal(loaded[name].dtype, tensor.dtype)
    t.equal(tostring(loaded[name].shape), tostring(tensor.shape))
    t.equal(loaded[name]:tolist(), tensor:tolist())
  end
end)

t.test('views are saved as the elements they show', function()
  local path = temporary()
  torch.save({ x = torch.arange(6):view(2, 3):t()[{ {}, 1 }] }, path)
  t.equal(torch.load(path).x:tolist(), { 3, 4, 5 })
end)

t.test('metadata maps strings to strings', function()
  local path = temporary()
  torch.save({ x = torch.ones { 1 } }, path, { license = 'Apache-2.0', note = 'für "alle"' })
  t.equal(select(2, torch.load(path)), { license = 'Apache-2.0', note = 'für "alle"' })
  t.error_matches(function() torch.save({}, path, { n = 3 }) end,
    "argument 'metadata': entry 'n' must be str, got number 3")
  t.error_matches(function() torch.save({ x = 3 }, path) end,
    "argument 'tensors': entry 'x' must be Tensor, got number 3")
  t.error_matches(function() torch.save({ torch.ones { 1 } }, path) end, 'names must be strings')
end)

t.test('a model is saved and loaded by name', function()
  local path = temporary()
  local function made()
    return nn.Sequential {
      { 'embed', nn.Embedding { 5, 3 } }, { 'rnn', nn.GRU { 3, 4 } }, { 'head', nn.Linear { 4, 5 } } }
  end
  local a, b, x = made(), made(), ids { { 0, 1, 4 } }
  a:save(path)
  t.is_false(torch.equal((a(x)), (b(x))))
  t.is_true(rawequal(b, b:load(path)))
  t.is_true(torch.equal((a(x)), (b(x))))
end)

t.test('guard G25: a model that does not fit lists every name', function()
  local path = temporary()
  nn.Sequential { { 'a', nn.Linear { 2, 3 } }, { 'b', nn.Linear { 3, 1 } } }:save(path)
  local other = nn.Sequential { { 'a', nn.Linear { 2, 2 } }, { 'c', nn.Linear { 2, 1 } } }
  local err = t.error_matches(function() other:load(path) end, 'weights do not fit the model')
  for _, part in ipairs { path, 'missing c.weight, c.bias', 'not in the model b.bias, b.weight',
    'a.weight (3, 2) instead of (2, 2)' } do
    t.contains(err, part)
  end
  t.equal(require('fail').code_of(err), 5)
end)

local function u64(n)
  local bytes = {}
  for i = 1, 8 do bytes[i], n = string.char(n % 256), math.floor(n / 256) end
  return table.concat(bytes)
end

local ONE = '{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'

-- Runs a script that loads the file and would write another; both its message and its exit code count.
local function refused(message, bytes)
  local path, after = t.write_file(bytes, '.safetensors'), t.temporary_path()
  local output, code = t.runner('-e', ([[
local x = require('torch').load(%q)
require('torch').save(x, %q)]]):format(path, after))
  t.contains(output, "'" .. path .. "': ")
  t.contains(output, message)
  t.equal(code, 5, output)
  t.is_true(host.stat(after) == nil, 'no file is made')
end

t.test('a good file of hand-made bytes is read', function()
  local path = t.write_file(u64(#ONE) .. ONE .. '\0\0\128\63', '.safetensors')
  t.equal(torch.load(path).x:tolist(), { 1 })
end)

t.test('broken files are refused with exit code 5', function()
  refused('the file has 3 bytes, fewer than the 8 of the header length', 'abc')
  refused('header', u64(#ONE + 100) .. ONE)                                                          -- cut short
  refused('200000000', u64(200 * 1000 * 1000) .. ONE .. '\0\0\0\0')                                  -- absurd length
  refused('the tensors end at byte 4 of the data, the file holds 2', u64(#ONE) .. ONE .. '\0\0')
  local overlap = [[{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},]]
    .. [["y":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}]]
  refused('leave a hole or overlap', u64(#overlap) .. overlap .. ('\0'):rep(8))
  local double = [[{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},]]
    .. [["x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}]]
  refused("duplicate key 'x'", u64(#double) .. double .. ('\0'):rep(4))
  local wrong = ONE:gsub('%[1%]', '[3]')
  refused('needs 12 bytes, its data_offsets hold 4', u64(#wrong) .. wrong .. ('\0'):rep(4))
  local kind = ONE:gsub('F32', 'F99')
  refused("dtype 'F99', which is unknown", u64(#kind) .. kind .. ('\0'):rep(4))
  refused("does not begin with '{'", u64(4) .. '[]  ')
  refused('not valid JSON', u64(8) .. '{"x": }}')
end)

t.test('a pickle is refused', function()
  refused('is a Python pickle; save it as safetensors', '\128\2}q\0.' .. ('x'):rep(100))
end)

t.test('a file that is missing is exit 5, one that cannot be written exit 9', function()
  local _, code = t.runner('-e', "require('torch').load('/nowhere/x.safetensors')")
  t.equal(code, 5)
  _, code = t.runner('-e', [[
local torch = require 'torch'
torch.save({ x = torch.ones { 1 } }, '/nowhere/x.safetensors')]])
  t.equal(code, 9)
end)

-- Debian's Python has the PyTorch of the same version; other Pythons on the path may not.
local function python(script, ...)
  local words = { '/usr/bin/python3', t.quote(t.write_file(script, '.py')) }
  for _, word in ipairs { ... } do words[#words + 1] = t.quote(word) end
  local output, code = t.shell(table.concat(words, ' '))
  if code ~= 0 then require('fail').raise(1, 'python: ' .. output) end
  return output
end

local function need_python(module)
  local _, code = t.shell(('/usr/bin/python3 -c "import %s"'):format(module))
  if code ~= 0 then t.skip('/usr/bin/python3 has no ' .. module) end
end

local WRITER = [[
import json, struct, sys
import torch

torch.manual_seed(5)
embed, rnn, head = torch.nn.Embedding(7, 4), torch.nn.GRU(4, 6, 2, batch_first=True), torch.nn.Linear(6, 7)
x = torch.arange(15).view(3, 5) % 7
with torch.no_grad():
    logits = head(rnn(embed(x))[0])
tensors = {}
for prefix, layer in (('embed', embed), ('rnn', rnn), ('head', head)):
    for name, value in layer.state_dict().items():
        tensors[prefix + '.' + name] = value
path, logits_path = sys.argv[1:]

def write(path, tensors):
    header, blobs, at = {}, [], 0
    for name, tensor in tensors.items():
        blob = tensor.contiguous().numpy().tobytes()
        header[name] = {'dtype': 'F32', 'shape': list(tensor.shape), 'data_offsets': [at, at + len(blob)]}
        blobs.append(blob)
        at += len(blob)
    text = json.dumps(header).encode()
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(text)) + text + b''.join(blobs))

write(path, tensors)
write(logits_path, {'logits': logits})
]]

t.test('weights of a PyTorch model give the same logits here', function()
  need_python 'torch'
  local path, logits_path = temporary(), temporary()
  python(WRITER, path, logits_path)
  local net = require('models').char_rnn { vocab = 7, embed = 4, hidden = 6, layers = 2 }
  net:load(path)
  local logits = net(torch.arange(15):view(3, 5) % 7)
  local wanted = torch.load(logits_path).logits
  -- float32 through 5 steps of 2 layers: a few units in the last place of values about 1
  t.is_true(torch.allclose(logits, wanted, { rtol = 1e-5, atol = 1e-6 }), tostring((logits - wanted):abs():max()))
  torch.manual_seed(5)
  local fresh = require('models').char_rnn { vocab = 7, embed = 4, hidden = 6, layers = 2 }
  t.is_true(torch.equal(fresh.rnn.weight_hh_l1, net.rnn.weight_hh_l1), 'the same seed draws the same initial values')
end)

local READER = [==[
import json, struct, sys
import numpy

with open(sys.argv[1], 'rb') as f:
    data = f.read()
n, = struct.unpack('<Q', data[:8])
assert n % 8 == 0
header, data = json.loads(data[8:8 + n]), data[8 + n:]
kinds = {'F32': numpy.float32, 'F64': numpy.float64, 'I64': numpy.int64, 'BOOL': numpy.bool_}
print(json.dumps(header.pop('__metadata__', {}), sort_keys=True))
for name in sorted(header):
    e = header[name]
    begin, end = e['data_offsets']
    print(name, e['shape'], numpy.frombuffer(data[begin:end], kinds[e['dtype']]).tolist())
]==]

t.test('Python reads our files', function()
  need_python 'numpy'
  local path = temporary()
  torch.save({ a = torch.tensor { { 1, -2.5 } }, b = ids { 3, 2 ^ 40 }, c = torch.tensor { true, false },
    d = torch.tensor(0.1, { dtype = 'float64' }) }, path, { k = 'v' })
  t.equal(python(READER, path),
    '{"k": "v"}\na [1, 2] [1.0, -2.5]\nb [2] [3, 1099511627776]\nc [2] [True, False]\nd [] [0.1]\n')
end)
