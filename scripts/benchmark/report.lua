-- The screen of `runner bench`: one table for each workload, its bars below, made for 80 columns.
local console = require 'console'
local pretty = require 'pretty'

local report = {}

local LABEL = '%-10s'
local plural = pretty.plural

local function put(label, text)
  console.write((LABEL:format(label) .. text):gsub('%s+$', '') .. '\n')
end

---The first lines: the machine and how it is used.
---@param m table the object that --json prints first
function report.header(m)
  put('machine', ('%s, %s, load %.1f'):format(m.cpu, plural(m.cores, 'core'), m.load_average))
  put('threads', ('%d (%s), wait policy %s (%s), pinning %s (%s)'):format(m.threads, m.threads_from, m.wait_policy,
    m.wait_policy_from, m.pinning, m.pinning_from))
  put('libraries', ('LibTorch %s, oneDNN %s on %s, %s'):format(m.libtorch, m.onednn, m.onednn_isa,
    m.blas:match '^%S+ %S+' or m.blas))
  put('medians', ('of %s of %s, %d more to warm up'):format(plural(m.rounds, 'round'), plural(m.steps, 'step'),
    m.warmup_steps))
  put('rate', ('fp32 GEMM %.0f GFLOP/s (dnnl_sgemm); shares are of the best of the whole run')
    :format(m.gemm_fp32_gflops))
  put('peer', m.peer and 'PyTorch ' .. m.peer .. ' eager, in turn' or 'none')
end

---The best rates of the whole run, which shares refer to.
function report.rates(context)
  local text = ('fp32 GEMM %.0f GFLOP/s (dnnl_sgemm)'):format(context.gemm / 1e9)
  local b = context.bandwidth
  if b then text = text .. (', memory copy %.1f, triad %.1f GB/s'):format(b.copy / 1e9, b.triad / 1e9) end
  console.write '\n'
  put('best', text)
end

-- NA is what was not measured, never 0.
local function cell(format, value, factor)
  return value and format:format(value * (factor or 1)) or 'NA'
end

local COLUMNS = {
  steps = { { 'ours ms', function(r) return cell('%.2f', r.ours_ms) end } },
  peer = { { 'peer ms', function(r) return cell('%.2f', r.peer_ms) end },
    { 'ratio', function(r) return cell('%.2f', r.ratio) end } },
  flop = { { 'GFLOP/s', function(r) return cell('%.0f', r.gflops) end },
    { 'of GEMM', function(r) return cell('%.0f %%', r.gemm_share, 100) end } },
  bytes = { { 'GB/s', function(r) return cell('%.1f', r.gb_s) end },
    { 'of memory', function(r) return cell('%.0f %%', r.bandwidth_share, 100) end } },
  us = { { 'Lua us', function(r) return cell('%.2f', r.ours_us) end },
    { 'C++ us', function(r) return cell('%.2f', r.native_us) end },
    { 'overhead us', function(r) return cell('%.2f', r.overhead_us) end } },
  memory = { { 'RSS kB/1000 steps', function(r) return cell('%+.1f', r.rss_kb_per_1000) end },
    { 'tensors/step', function(r) return cell('%.0f', r.allocations_per_step) end },
    { 'of 1 MiB', function(r) return cell('%.1f', r.large_per_step) end },
    { 'from system', function(r) return cell('%.1f', r.fresh_per_step) end } },
  common = { { 'precision', function(r) return r.precision end },
    { 'threads', function(r) return tostring(r.threads) end } },
}

local function any(rows, field)
  for _, row in ipairs(rows) do
    if row[field] ~= nil then return true end
  end
  return false
end

-- Only columns that some row fills are shown.
local function columns_of(rows)
  local chosen = {}
  local function take(group)
    for _, column in ipairs(COLUMNS[group]) do chosen[#chosen + 1] = column end
  end
  if any(rows, 'ours_ms') then take 'steps' end
  if any(rows, 'peer_ms') then take 'peer' end
  if any(rows, 'gflops') then take 'flop' end
  if any(rows, 'gb_s') then take 'bytes' end
  if any(rows, 'ours_us') then take 'us' end
  if any(rows, 'allocations_per_step') then take 'memory' end
  take 'common'
  return chosen
end

local function table_of(rows)
  local columns, width = columns_of(rows), 0
  for _, row in ipairs(rows) do width = math.max(width, #row.name) end
  local lines, widths = { {} }, {}
  for c, column in ipairs(columns) do
    lines[1][c], widths[c] = column[1], #column[1]
    for r, row in ipairs(rows) do
      lines[r + 1] = lines[r + 1] or {}
      lines[r + 1][c] = column[2](row)
      widths[c] = math.max(widths[c], #lines[r + 1][c])
    end
  end
  for r, cells in ipairs(lines) do
    local text = ('%-' .. width .. 's'):format(r == 1 and '' or rows[r - 1].name)
    for c, value in ipairs(cells) do text = text .. ('  %' .. widths[c] .. 's'):format(value) end
    console.write('  ' .. text .. '\n')
  end
end

local MARK = { aim = 'aim met', accept = 'accepted', missed = 'not met', ['not measured'] = 'not measured' }

local function bar_line(bar)
  local sign, value = bar.less and '<=' or '>=', ''
  if bar.value then
    value = (bar.value < 1000 and '%.3g%s, ' or '%.0f%s, '):format(bar.value, bar.unit and ' ' .. bar.unit or '')
  end
  local limits = bar.accept and ('accept %s %g, aim %g'):format(sign, bar.accept, bar.aim)
    or ('aim %s %g'):format(sign, bar.aim)
  if bar.also then limits = ('%s and %g %s'):format(limits, bar.also.aim, bar.also.of) end
  console.write(('  %-4s %s: %s%s (%s)\n'):format(bar.id, bar.what, value, MARK[bar.met], limits))
end

---The table of a workload, its bars and notes.
function report.workload(name, workload, result)
  console.write '\n'
  put(name, workload.summary)
  table_of(result.rows)
  for _, bar in ipairs(result.bars) do bar_line(bar) end
  for _, note in ipairs(result.notes or {}) do console.write('       ' .. note .. '\n') end
end

return report
