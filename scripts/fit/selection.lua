-- Selective training in train.fit: the options of the native selection, and what is logged of it while it trains.
local specs = require 'config.specs'
local selection_report = require 'research.selection_report'

local selection = {}

---Options for optim.select.
---@param o table the section `select`
---@param seed integer of the training
---@param data table
---@return table
function selection.native_options(o, seed, data)
  local made = specs.native_part('select', o)
  made.domains, made.seed = data.info and #data.info or 1, o.seed or seed
  return made
end

local function percent(share) return share and 100 * share end

-- Selections of each leaf since the last call, by domain: blocks for the permutation test.
local function blocks_since(histogram, before)
  local blocks = {}
  for d, row in ipairs(histogram) do
    local counts, any = {}, false
    for k, c in ipairs(row) do
      counts[k] = c - (before and before[d][k] or 0)
      any = any or counts[k] > 0
    end
    if any then blocks[#blocks + 1] = { domain = d, counts = counts } end
  end
  return blocks
end

-- The norm of what one update moved of each node, the mean over the updates since the last call; nil where there was
-- none. `before` has the sums up to then.
local function moved_since(report, before)
  local steps, sums, means = report.steps, {}, {}
  for i, node in ipairs(report.nodes) do
    sums[i] = node.mean_delta * steps
    means[i] = math.max(0, sums[i] - (before and before.sums[i] or 0)) / (steps - (before and before.steps or 0))
  end
  return steps > (before and before.steps or 0) and means or nil, { steps = steps, sums = sums }
end

-- What an update reads from its device, in words; nil for a training too short to count.
local function reads_text(fit)
  if not fit.host_reads_per_step then return nil end
  return ('reads     host_syncs_per_step %.4g, %.4g values read per update%s, %.4g of them by the optimiser and its '
    .. 'selection'):format(fit.host_syncs_per_step, fit.host_reads_per_step,
    fit.host_syncs_per_step == 0 and " in the host's memory" or '', fit.optimizer_reads_per_step)
end

---The callback that logs a `selection` event every so many updates and the whole report at the end, as event
---`selection_report`.
---@param every integer
---@return table
function selection.callback(every)
  local blocks, before, moved, logged = {}, nil, nil, nil
  local callback = { name = 'selection', every = every }
  local function look(ctx, step)
    local report = ctx.selection:report()
    for _, block in ipairs(blocks_since(report.histogram, before)) do blocks[#blocks + 1] = block end
    before = report.histogram
    local node_delta
    node_delta, moved = moved_since(report, moved)
    local touched, effective = selection_report.shares(report, ctx.model:parameter_count())
    local balance = selection_report.balance(report)
    -- The end may come right after a step that was looked at.
    if logged == step then return report, balance, touched, effective end
    logged = step
    ctx.log { kind = 'event', event = 'selection', step = step, touched_pct = percent(touched),
      effective_pct = percent(effective), node_entropy = balance.entropy, node_gini = balance.gini,
      leaf_entropy = balance.leaf_entropy, leaf_gini = balance.leaf_gini, dead_n = balance.dead,
      no_signal_n = report.no_signal, bad_n = report.bad, node_delta = node_delta }
    return report, balance, touched, effective
  end
  function callback.on_step(ctx, record) look(ctx, record.step) end
  function callback.on_end(ctx, fit)
    local report, balance, touched, effective = look(ctx, fit.steps)
    if report.steps == 0 then return end
    fit.selection = { report = report, balance = balance, touched = touched, effective = effective, blocks = blocks }
    ctx.log { kind = 'event', event = 'selection_report', step = fit.steps, report = report, balance = balance,
      host_syncs_per_step = fit.host_syncs_per_step, host_reads_per_step = fit.host_reads_per_step,
      optimizer_reads_per_step = fit.optimizer_reads_per_step }
    local share = touched
      and ('touched %.1f %% of all parameters an update, effective %.1f %%'):format(100 * touched, 100 * effective)
      or ('touched NA (the gradients are masked, every weight may move), %.1f %% of them left'):format(100 * effective)
    local gini = balance.leaf_gini and ('%.2f'):format(balance.leaf_gini) or 'NA'
    local never = balance.dead and ('; %d of %d nodes never selected'):format(balance.dead, #report.nodes) or ''
    ctx.print(('select    %s: %s; leaf Gini %s%s'):format(report.rule, share, gini, never))
    local reads = reads_text(fit)
    if reads then ctx.print(reads) end
  end
  function callback.save() return { blocks = blocks, before = before, moved = moved, logged = logged } end
  function callback.restore(_, saved)
    blocks, before, moved, logged = saved.blocks or {}, saved.before, saved.moved, saved.logged
  end
  return callback
end

---Nodes as lines of text, indented by level: how often each was selected, how far it has moved in all and in an
---update; then how evenly the nodes of each level were selected.
---@param report table of Selection:report
---@return string[]
function selection.node_lines(report)
  local lines, names, width = {}, {}, 0
  for i, node in ipairs(report.nodes) do
    local number = node.level > 0 and node.number and (' (%d)'):format(node.number) or ''
    names[i] = ('  '):rep(node.level) .. node.label .. number
    width = math.max(width, #names[i])
  end
  for i, node in ipairs(report.nodes) do
    local name = names[i] .. (' '):rep(width - #names[i])
    lines[#lines + 1] = ('%s %8d selected  %8.1f effective  moved %8.4f, %.2e an update  mean norm %.3e%s'):format(name,
      node.count, node.effective, node.distance, node.mean_delta, node.mean_score,
      node.count == 0 and selection_report.holds(report) and '  never selected' or '')
  end
  local function share(value) return value and ('%.2f'):format(value) or '-' end
  for _, row in ipairs(selection_report.balance(report).levels) do
    lines[#lines + 1] = ('level %d: entropy %s, Gini %s'):format(row.level, share(row.entropy), share(row.gini))
  end
  return lines
end

return selection
