-- runner bench: its words, its JSON and what its rows mean, at tiny sizes. Times are never compared with anything.
local harness = require 'benchmark.harness'
local dkjson = require 'dkjson'
local t = require 'testing'

local function objects(output)
  local found = {}
  for line in output:gmatch '[^\n]+' do
    if line:sub(1, 1) == '{' then found[#found + 1] = assert(dkjson.decode(line)) end
  end
  return found
end

local function of_kind(list, kind)
  local found = {}
  for _, object in ipairs(list) do
    if object.kind == kind then found[#found + 1] = object end
  end
  return found
end

t.test('the workloads are listed with what they are', function()
  local output, code = t.runner('bench', '--list')
  t.equal(code, 0, output)
  for _, name in ipairs { 'gru', 'lstm', 'tscore', 'optim', 'ops', 'threads', 'memory' } do
    t.matches('\n' .. output, '\n' .. name .. ' +%a')
  end
  output, code = t.runner('bench', '--list', '--json')
  t.equal(code, 0, output)
  for _, row in ipairs(objects(output)) do t.is_true(#row.workload > 0 and #row.summary > 0) end
end)

t.test('an unknown workload is exit 2 with the nearest, before anything is measured', function()
  local output, code = t.runner('bench', 'gru', 'optm')
  t.equal(code, 2, output)
  t.equal(output, "error: unknown workload 'optm'; nearest: optim\n")
  output, code = t.runner('bench', '--rounds', '0')
  t.equal(code, 2, output)
  t.contains(output, 'expected a whole number of at least 1')
end)

t.test('rows carry times, rates, threads and precision; bars what is asked of them', function()
  local output, code = t.runner('bench', 'gru', 'memory', '--json', '-q',
    '--rounds', '1', '--steps', '1', '--threads', '1')
  t.equal(code, 0, output)
  local all = objects(output)
  local machine = all[1]
  t.equal(machine.kind, 'machine')
  t.fields(machine, { threads = 1, threads_from = '--threads', wait_policy = 'passive', pinning = 'none' })
  t.is_true(#machine.cpu > 0 and machine.peer == nil)
  local rows = of_kind(all, 'row')
  local steps = #rows - 4 -- the last four are of `memory`
  local native = require('lanthorn').diagnostics.missing_precision 'bf16' == nil
  local slow = native and require('lanthorn').diagnostics.libraries().bf16 == 'none'
  t.equal(steps, native and 6 or 2)
  t.equal(#of_kind(all, 'note'), (not native or slow) and 2 or 1) -- one names the batches
  for i = 1, 2 do
    local row = rows[i]
    t.fields(row, { workload = 'gru', precision = 'fp32', threads = 1, steps = 1 })
    t.is_true(row.ours_ms > 0)
    t.near(row.gflops * row.ours_ms / 1e3, 27.06, 0.1) -- nominal GFLOP of a step
    t.is_true(row.gemm_share > 0)
    t.equal(row.peer_ms, nil)
  end
  for i = steps + 1, steps + 4 do t.is_true(rows[i].allocations_per_step > 0 and rows[i].fresh_per_step >= 0) end
  -- The logits alone are 64 x 100 x 65 floats, 1.6 MiB: a full step must take large tensors, a small one none.
  t.equal(rows[steps + 1].large_per_step, 0)
  t.equal(rows[steps + 2].large_per_step, 0)
  t.is_true(rows[steps + 3].large_per_step >= 1 and rows[steps + 4].large_per_step >= 1)
  local bars = of_kind(all, 'bar')
  t.equal(bars[1].id, 'P1')
  t.fields(bars[1], { met = 'not measured', accept = 3, aim = 4, less = false })
  t.fields(bars[2], { id = 'P1', value = rows[1].gemm_share, aim = 0.75 })
  t.equal(bars[2].accept, nil)
  t.equal(bars[3].id, 'P2')
  t.near(bars[3].value, rows[2].ours_ms / rows[1].ours_ms, 1e-9)
  t.fields(bars[4], { id = 'P4', met = 'not measured' })
  t.fields(bars[5], { id = 'P4b', met = 'not measured' })
  t.is_true(of_kind(all, 'rates')[1].gemm_fp32_gflops > 0)
end)

t.test('the screen fits 100 columns and says when there were too few steps', function()
  local output, code = t.runner('bench', 'optim', 'ops', '--rounds', '1', '--steps', '1')
  t.equal(code, 0, output)
  t.contains(output, 'too few steps to compare')
  t.matches(output, '\n  SGD with momentum +%d+%.%d%d +%d+%.%d +%d+ %%')
  for line in output:gmatch '[^\n]+' do t.is_true(#line <= 100, line) end
end)

t.test('PyTorch is the peer of every step that has one', function()
  local context = { threads = 1, warmup = 1, steps = 2, note = error }
  local peer = require 'benchmark.peer'
  local version, reason = peer.version(context)
  if not version then t.skip('no PyTorch: ' .. reason) end
  for _, name in ipairs { 'adamw_foreach', 'sgd' } do t.equal(#peer.run(context, name), 2) end
  local said
  context.note = function(text) said = text end
  t.equal(peer.run(context, 'nothing'), nil)
  t.contains(said, "peer: 'nothing' gave no times: KeyError: 'nothing'")
end)

t.test('a missing peer is said, and no failure', function()
  local peer = require 'benchmark.peer'
  local python = peer.python
  peer.python = '/nowhere/python3'
  local version, reason = peer.version { threads = 1 }
  peer.python = '/bin/false'
  local second = peer.version { threads = 1 }
  peer.python = python
  t.equal(version, nil)
  t.equal(reason, '/nowhere/python3 does not exist')
  t.equal(second, nil)
end)

t.test('cases run in turn and their medians make the rows', function()
  local order, gemm = {}, 0
  local function case(name, times, more)
    local made = { name = name, run = function(steps)
      order[#order + 1] = name .. steps
      return { table.remove(times, 1), table.remove(times, 1) }
    end }
    for key, value in pairs(more or {}) do made[key] = value end
    return made
  end
  local context = { rounds = 2, steps = 2, threads = 3, note = function() end,
    measure_gemm = function() gemm = gemm + 1 end, gemm = 1e9 }
  local rows = harness.interleave(context, {
    case('a', { 1, 5, 2, 4 }, { flop = 6e6 }), case('b', { 8, 8, 9, 100 }, { steps = 1 }) })
  t.equal(order, { 'a2', 'b1', 'a2', 'b1' })
  t.equal(gemm, 2)
  t.fields(rows[1], { ours_ms = 3, steps = 4, threads = 3, gflops = 2, gemm_share = 2 })
  t.equal(rows[2].ours_ms, 8.5)
  t.equal(rows[2].gflops, nil)
  t.equal(rows[2].ratio, nil)
end)

t.test('medians, ratios and bars follow from the numbers, and from none there is none', function()
  t.equal(harness.median { 3, 1, 2 }, 2)
  t.equal(harness.median { 4, 1, 2, 3 }, 2.5)
  t.equal(harness.median {}, nil)
  t.equal(harness.ratio(6, 3), 2)
  t.equal(harness.ratio(nil, 3), nil)
  t.equal(harness.ratio(1, 0), nil)
  local function met(value, less)
    return harness.bar('P0', 'x', value, { accept = less and 2 or 1, aim = less and 1 or 2, less = less }).met
  end
  t.equal(met(2), 'aim')
  t.equal(met(1.5), 'accept')
  t.equal(met(0.5), 'missed')
  t.equal(met(nil), 'not measured')
  t.equal(met(1, true), 'aim')
  t.equal(met(1.5, true), 'accept')
  t.equal(met(2.5, true), 'missed')
  local function with(value, share)
    return harness.bar('P0', 'x', value, { accept = 1, aim = 2, also = { value = share, aim = 0.75, of = 'of y' } }).met
  end
  t.equal(with(2, 0.75), 'aim')
  t.equal(with(2, 0.74), 'accept')
  t.equal(with(2, nil), 'accept')
  t.equal(with(0.5, 0.8), 'missed')
  t.equal(with(nil, 0.8), 'not measured')
  local function aimed(value) return harness.bar('P0', 'x', value, { aim = 2 }).met end
  t.equal(aimed(2), 'aim')
  t.equal(aimed(1.9), 'missed')
  t.equal(aimed(nil), 'not measured')
end)

t.test('four times as fast is not the aim of P1 without three quarters of the GEMM rate', function()
  local function p1(ratio, share)
    local bars = require('bench.gru').bars { fp32 = { plain = { ratio = ratio, gemm_share = share }, cost = 1 } }
    return { bars[1].met, bars[2].met }
  end
  t.equal(p1(4.2, 0.76), { 'aim', 'aim' })
  t.equal(p1(4.2, 0.74), { 'accept', 'missed' })
  t.equal(p1(2, 0.9), { 'missed', 'aim' })
end)

t.test('a large block that nobody kept counts as asked of the system, one that was kept does not', function()
  local torch, counters = require 'torch', require('lanthorn').diagnostics.allocations
  if not counters().keeps_blocks then t.skip 'this build keeps no blocks' end
  local before = counters().fresh_blocks
  local function take() return torch.ones(37 * 2 ^ 20 / 4):numel() end
  take()
  t.equal(counters().fresh_blocks, before + 1)
  collectgarbage()
  collectgarbage()
  take()
  t.equal(counters().fresh_blocks, before + 1)
end)

t.test('the peer is pinned as we are and has all the CPUs that we started with', function()
  local fake = t.write_file([[#!/bin/sh
cpus=$(sed -n 's/^Cpus_allowed_list:\s*//p' /proc/self/status)
echo "version ${OMP_PROC_BIND:-none}/${OMP_PLACES:-none}/${GOMP_CPU_AFFINITY:-none}/$cpus"
]], '.sh')
  t.shell('chmod +x ' .. fake)
  local code = ([[
    require 'torch'.ones(9)
    local peer = require 'benchmark.peer'
    peer.python = '%s'
    print(peer.version { threads = 2 })]]):format(fake)
  local function seen(environment, words)
    return (t.shell(('env -u OMP_PROC_BIND -u OMP_PLACES -u GOMP_CPU_AFFINITY %s %s run %s -q -e %s')
      :format(environment, t.quote(require('host').folder .. '/runner'), words, t.quote(code))))
  end
  local all = t.shell([[sed -n 's/^Cpus_allowed_list:\s*//p' /proc/self/status]])
  t.equal(seen('', ''), 'none/none/none/' .. all)
  t.equal(seen('', '--pin'), 'close/cores/none/' .. all)
  t.equal(seen('GOMP_CPU_AFFINITY=0', ''), 'none/none/0/' .. all)
  os.remove(fake)
end)

t.test('ops returns rows with names and bars with limits', function()
  local context = { rounds = 1, steps = 1, warmup = 1, threads = 1, note = function() end,
    measure_gemm = function() end }
  local result = require('bench.ops').run(context)
  t.is_true(#result.rows > 0)
  for _, row in ipairs(result.rows) do t.is_true(#row.name > 0 and row.precision == 'fp32') end
  for _, bar in ipairs(result.bars) do t.is_true(bar.accept ~= nil and bar.aim ~= nil and #bar.what > 0) end
end)

t.test('a step is timed in the precisions of the CPU, and a note names the others', function()
  local char_rnn = require 'benchmark.char_rnn'
  local asked = {}
  local cases, notes = char_rnn.cases('gru', function(name) asked[#asked + 1] = name end, 'amx')
  t.equal(#notes, 0)
  t.equal(asked, { 'fp32', 'fp32_split', 'bf16' })
  local seen = {}
  for i, case in ipairs(cases) do
    seen[i] = ('%s, %s, %s'):format(case.precision, case.name, table.concat(case.peers, ' '))
    t.equal(case.flop, char_rnn.flop 'gru')
  end
  t.equal(seen, { 'fp32, no T-Score, gru', 'fp32, T-Score of all 64, gru', 'fp32_split, no T-Score, gru',
    'fp32_split, T-Score of all 64, gru', 'bf16, no T-Score, gru gru_bf16', 'bf16, T-Score of all 64, gru gru_bf16' })
  cases, notes = char_rnn.cases('lstm', function(name) return name ~= 'fp32' and 'no bf16 here' or nil end, 'none')
  t.equal(#cases, 2)
  t.equal(cases[1].precision, 'fp32')
  t.equal(cases[2].precision, 'fp32')
  t.equal(notes, { 'not timed in fp32_split, bf16: this CPU has no bf16 products that oneDNN can use' })
  cases, notes = char_rnn.cases('gru', function() end, 'none')
  t.equal(#cases, 6)
  t.equal(notes, { 'bf16 products are slow here: oneDNN uses neither AVX512_BF16 nor AMX and converts up to fp32' })
end)

t.test('bars of a precision are those of its own rows', function()
  local function of(ratio) return { plain = { ratio = ratio, gemm_share = 0.7 }, cost = 1.01 } end
  local bars = require('bench.gru').bars { fp32 = of(3.5), bf16 = of(9), fp32_split = of(2) }
  local seen = {}
  for i, bar in ipairs(bars) do seen[i] = ('%s %g %s'):format(bar.id, bar.value, bar.met) end
  t.equal(seen, { 'P1 3.5 accept', 'P1 0.7 missed', 'P2 1.01 aim', 'P4 9 aim', 'P4b 2 missed' })
end)

t.test('the nominal work of a step is that of its matrix products', function()
  local char_rnn = require 'benchmark.char_rnn'
  -- 6,400 tokens, forward and twice as much backward, 2 FLOP for each of 704,768 and 937,088 weights.
  t.equal(char_rnn.flop 'gru', 6 * 6400 * (768 * (128 + 256) + 768 * (256 + 256) + 256 * 65))
  t.equal(char_rnn.flop 'lstm', 6 * 6400 * (1024 * (128 + 256) + 1024 * (256 + 256) + 256 * 65))
end)
