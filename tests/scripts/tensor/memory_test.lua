-- Native memory from Lua: scopes, the limit, and bounded growth of loops.
local t = require 'testing'
local torch = require 'torch'

local FREED = 'this tensor was freed when its scope ended; return it from torch.scope or pass it to torch.keep'

local function tensor_mb()
  collectgarbage()
  collectgarbage()
  return torch.memory().tensor_mb
end

t.test('a scope frees what was made inside', function()
  local before, x = tensor_mb(), nil
  torch.scope(function() x = torch.zeros { 250000 } end) -- 1 MB
  t.near(torch.memory().tensor_mb, before, 0.001)
  t.error_matches(function() return x + 1 end, FREED:gsub('%p', '%%%0'))
  t.equal(tostring(x), 'tensor(freed with its scope)')
end)

t.test('what a scope returns lives on', function()
  local x, label = torch.scope(function(a) return torch.ones { a }, 'label' end, 3)
  t.equal(x:sum():item(), 3)
  t.equal(label, 'label')
end)

t.test('tensors in nested tables that are returned live on', function()
  local made = torch.scope(function()
    local lost = torch.ones { 9 }
    return { a = torch.ones { 1 }, list = { torch.ones { 2 }, deep = { torch.ones { 3 } } }, n = lost:numel() }
  end)
  t.equal(made.a:numel(), 1)
  t.equal(made.list[1]:numel(), 2)
  t.equal(made.list.deep[1]:numel(), 3)
  t.equal(made.n, 9)
end)

t.test('torch.keep keeps a tensor beyond all scopes', function()
  local kept = {}
  torch.scope(function()
    torch.scope(function()
      kept[1] = torch.keep(torch.ones { 4 })
      torch.keep { torch.ones { 1 } }
    end)
  end)
  t.equal(kept[1]:sum():item(), 4)
end)

t.test('an inner scope hands its result to the outer one', function()
  local inner
  local outer = torch.scope(function()
    inner = torch.scope(function() return torch.ones { 2 } end)
    t.equal(inner:sum():item(), 2)
    return inner + 1
  end)
  t.equal(outer:tolist(), { 2, 2 })
  t.error_matches(function() return inner + 1 end, 'freed when its scope ended')
end)

t.test('an error inside frees too and passes through', function()
  local before, x = tensor_mb(), nil
  t.error_matches(function()
    torch.scope(function()
      x = torch.zeros { 250000 }
      torch.scope(function() error 'boom' end)
    end)
  end, 'boom')
  t.near(torch.memory().tensor_mb, before, 0.001)
  t.equal(tostring(x), 'tensor(freed with its scope)')
  t.equal(torch.scope(function() return torch.ones { 1 } end):item(), 1)
end)

t.test('a tensor from outside survives the scope', function()
  local x = torch.zeros { 2 }
  torch.scope(function() x:add_(1) end)
  t.equal(x:tolist(), { 1, 1 })
end)

t.test('views of freed tensors keep their memory', function()
  local view = torch.scope(function() return torch.arange(10):float()[{ { 2, 5 } }] end)
  t.equal(view:tolist(), { 2, 3, 4 })
end)

t.test('a freed tensor is refused everywhere', function()
  local x
  torch.scope(function() x = torch.ones { 2 } end)
  for _, use in ipairs { function() return x[0] end, function() x[0] = 1 end, function() return x:item() end,
    function() return x.shape end, function() return #x end, function() return torch.cat { x, x } end } do
    t.error_matches(use, 'freed when its scope ended')
  end
end)

t.test('torch.memory tells sizes in MB', function()
  local before = tensor_mb()
  local x = torch.zeros { 1000, 1000 }
  local now = torch.memory()
  t.near(now.tensor_mb - before, x:numel() * 4 / 1e6, 0.01)
  t.is_true(now.tensor_peak_mb >= now.tensor_mb and now.rss_mb > 0 and now.lua_mb > 0 and now.limit_mb > 0)
end)

local function with_limit(size, body)
  local before = torch.memory().limit_mb
  torch.set_memory_limit(size)
  local ok, err = pcall(body)
  torch.set_memory_limit(('%d'):format(before * 1e6))
  if not ok then error(err, 0) end
end

t.test('an allocation above the limit raises, and the runner goes on', function()
  with_limit('100MiB', function()
    for _ = 1, 3 do
      t.error_matches(function() return (torch.zeros { 1024, 1024, 1024 }) end,
        'out of memory: need 4.0 GiB, .* of 100.0 MiB in use')
    end
    local x = torch.zeros { 1024, 1024 }
    t.error_matches(function() return (x:expand(64, 1024, 1024):clone()) end, 'out of memory')
    t.equal((x + 1):mean():item(), 1)
  end)
end)

t.test('garbage makes room before an allocation fails', function()
  with_limit('64MiB', function()
    for _ = 1, 200 do torch.zeros { 1024, 1024 } end -- 4 MiB each, 800 MiB in all
  end)
end)

t.test('a malformed limit is refused', function()
  for _, text in ipairs { 'lots', '-1GiB', '0', '4 bananas' } do
    local err = t.error_matches(function() torch.set_memory_limit(text) end, 'is not a size; write 4GiB')
    t.equal(require('fail').code_of(err), 3)
  end
end)

t.test('a loop over 20,000 tensors of 1 MB stays bounded', function()
  local peak = 0
  for i = 1, 20000 do
    local x = torch.empty { 250000 }
    if i % 500 == 0 then peak = math.max(peak, torch.memory().tensor_mb) end
    assert(x)
  end
  local limit = math.max(537, torch.memory().limit_mb / 9) -- 10 % of the machine; the limit is 90 %
  t.is_true(peak < limit * 1.5, ('%.0f MB of tensors at the peak, soft limit %.0f MB'):format(peak, limit))
end)

t.test('tables that hold themselves pass a scope', function()
  local node = torch.scope(function()
    local made = { value = torch.ones { 2 } }
    for i = 1, 8 do made[i] = made end
    return made
  end)
  t.equal(node[3].value:sum():item(), 2)
end)

t.test('running out of memory has exit code 7', function()
  local script = t.write_file "local torch = require 'torch'; torch.set_memory_limit('1MiB'); torch.empty { 2000000 }"
  local output, code = t.runner(script)
  t.matches(output, 'out of memory: need 7.6 MiB')
  t.equal(code, 7, output)
end)
