-- gru_step: the char-GRU training step (64 x 100 characters, 716,225 parameters, Adam) with and without T-Score on all 64
-- samples, against PyTorch eager of Debian's python3-torch, in turn in one run; medians, and the machine's GEMM rate.
--   runner tests/bench/gru_step.lua [rounds] [steps per round]      (after -- )
local data, host, models, optim, torch = require 'data', require 'host', require 'models', require 'optim', require 'torch'
local native = require 'lanthorn'

local rounds, steps = tonumber(arg and arg[1]) or 5, tonumber(arg and arg[2]) or 9
local THREADS = torch.get_num_threads()
local FLOP = 27.1e9 -- nominal, of one training step

local function median(values)
  table.sort(values)
  return values[math.floor((#values + 1) / 2)]
end

torch.manual_seed(42)
local batches = data.tensors { x = torch.randint(65, { 64 * 40, 100 }), y = torch.randint(65, { 64 * 40, 100 }), batch = 64 }

local function ours(tscore_every, times)
  local model = models.char_rnn { vocab = 65 }
  local trainer = native.train.new { model = model, train = batches.train, optimizer = optim.Adam(model, { lr = 2e-3 }),
    options = { max_steps = steps + 5, tscore_every = tscore_every, eval = false } }
  trainer:on_step(1, function(record) if record.step > 5 then times[#times + 1] = record.step_ms end end)
  trainer:run()
end

local function peer(times)
  local script = host.realpath('tests/bench/peer_gru.py')
  local command = 'OMP_WAIT_POLICY=passive OMP_NUM_THREADS=%d /usr/bin/python3 %s %d %d 2>/dev/null'
  local pipe = io.popen(command:format(THREADS, script, steps, THREADS))
  for line in pipe:lines() do times[#times + 1] = tonumber(line) end
  pipe:close()
end

local function gemm_rate()
  local a, best = torch.randn { 1024, 1024 }, 0
  for _ = 1, 20 do
    local begin = host.now()
    torch.mm(a, a)
    best = math.max(best, 2 * 1024 ^ 3 / (host.now() - begin))
  end
  return best
end

local plain, scored, other = {}, {}, {}
for round = 1, rounds do
  ours(0, plain)
  ours(1, scored)
  peer(other)
  io.stderr:write(('round %d of %d\n'):format(round, rounds))
end
local rate = gemm_rate()
local without, with = median(plain), median(scored)
print(('threads %d, %d rounds of %d steps, fp32 GEMM %.0f GFLOP/s'):format(THREADS, rounds, steps, rate / 1e9))
print(('lanthorn, no T-Score       %7.1f ms   %4.0f GFLOP/s nominal, %.0f %% of GEMM'):format(without, FLOP / without / 1e6,
  FLOP / without / rate * 1e5))
print(('lanthorn, T-Score of 64    %7.1f ms   %.3f of the step without'):format(with, with / without))
if #other > 0 then
  local reference = median(other)
  print(('PyTorch eager, no T-Score  %7.1f ms   %.2f times ours without, %.2f times ours with T-Score'):format(reference,
    reference / without, reference / with))
else
  print('PyTorch: python3-torch is not installed, no peer')
end
