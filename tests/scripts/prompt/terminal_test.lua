-- The prompt on a terminal, as fingers use it: lines typed ahead, pasted blocks, Tab. Python plays the terminal.
local host = require 'host'
local json = require 'json'
local t = require 'testing'

local TYPIST = host.realpath 'tests/scripts/prompt/type_ahead.py'

-- What the terminal showed after these lines were typed; numbers are pauses in seconds.
local function typed(environment, items)
  local path = t.write_file(json.encode(items), '.json')
  local output, code = t.shell(('%s RUNNER_HISTORY=/dev/null python3 %s %s 20 < %s 2>&1'):format(environment, TYPIST,
    t.quote(host.folder .. '/runner'), path))
  t.equal(code, 0, output)
  return output
end

t.test('lines that were typed while LibTorch loads arrive, each of them', function()
  local output = typed('', { 'x = torch.ones{2}:sum():item()\n', 'function f(x)\n', 0.1, 'return x*2\n', 0.3,
    'end\n', 0.3, 'print("got", f(21), x)\n' })
  t.matches(output, 'got\t42\t2')
end)

t.test('a pasted block arrives whole, with empty lines and tabs', function()
  local output = typed('', {
    0.5, 'function g(a)\n\n\tlocal b = a\n\n\tif b then\n\t\treturn b * 3\n\tend\n\nend\nprint("pasted", g(5))\n' })
  t.matches(output, 'pasted\t15')
  t.is_true(not output:find('error', 1, true), output)
end)

t.test('an empty line still gives up what was typed by hand', function()
  local output = typed('', { 0.5, 'function h(\n', 0.5, '\n', 0.5, 'print("next", 7)\n' })
  t.contains(output, "near '<eof>'")
  t.matches(output, 'next\t7')
end)

t.test('Tab completes operators of torch, methods of tensors and parts of models', function()
  local output = typed('', { 'm = nn.Linear { 2, 3 }; x = torch.ones { 2 }; print "load" print "ed"\n',
    { ['until'] = '\nload\r\ned\r\n' }, 0.5,
    'print("operator", type(torch.logical_x\t', 0.5, '))\n', 0.5,
    'print("method", type(x.masked_fil\t', 0.5, '))\n', 0.5,
    'print("module", type(m.named_para\t', 0.5, '))\n', 0.5,
    'print("part", type(m.weig\t', 0.5, '))\n', 0.5 })
  t.matches(output, 'operator\tfunction')
  t.matches(output, 'method\tfunction')
  t.matches(output, 'module\tfunction')
  t.matches(output, 'part\tuserdata')
end)

t.test('characters of several bytes keep them where no locale is set', function()
  local output = typed('env -u LANG -u LC_ALL -u LC_CTYPE', { 's = "café"\n', 0.3, 'print("bytes", #s)\n' })
  t.matches(output, 'bytes\t5')
end)
