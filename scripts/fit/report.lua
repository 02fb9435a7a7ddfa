-- What train.fit prints for people: the plan before training, the summary after it.
local columns = require 'base.columns'
local console = require 'console'
local duration = require('base.duration').short
local host = require 'host'
local pretty = require 'pretty'

local report = {}

local LABEL = 10 -- columns

local count, plural = pretty.count, pretty.plural

-- Milliseconds with two digits that say something: "0.35", "7.2", "129".
local function ms(seconds)
  local value = seconds * 1e3
  return (value < 0.995 and '%.2f' or value < 9.95 and '%.1f' or '%.0f'):format(value)
end

local function row(label, text)
  return ('%-' .. LABEL .. 's%s'):format(label, text)
end

---What identifies the batches of a training, the same in a run, a dry run and a bench (guard G12).
---@param batches integer an epoch
---@param first_batch { sha256: string } of Batches:inspect
---@return string
function report.batches(batches, first_batch)
  return ('%s batches an epoch, first batch %s'):format(count(batches), first_batch.sha256:sub(1, 19))
end

---What a rate counts: tokens, or samples where targets are not rows of token numbers.
---@param data DataSet
---@param first_batch { width: integer } of Batches:inspect
---@return string "tokens" or "samples", the name of their number in a fit
function report.rate(data, first_batch)
  return (data.token_word or first_batch.width > 0) and 'tokens' or 'samples'
end

---Batches that an eval takes; 0 when there is none.
---@param data table
---@param eval { off: boolean, val_cap: integer }
---@return integer
function report.eval_batches(data, eval)
  local all = not eval.off and data.val and data.val:count() or 0
  return eval.val_cap > 0 and math.min(eval.val_cap, all) or all
end

-- Padding and masked targets of the first batch; nil when it has none.
local function masking(first)
  if first.masked == 0 then return nil end
  local share = function(part) return ('%.1f %%'):format(100 * part / first.targets) end
  local padding = first.padding > 0
    and ('longest %d of %d, padding %s, '):format(first.longest, first.width, share(first.padding)) or ''
  return ('first batch: %s, %s%s of the targets masked'):format(plural(first.items, 'item'), padding,
    share(first.masked))
end

-- "17 batches", "3 of 17 batches"
local function val_text(plan)
  local all = plan.data.val and plan.data.val:count() or 0
  if plan.eval_batches == all then return count(all) .. ' batches' end
  return ('%s of %s batches'):format(count(plan.eval_batches), count(all))
end

-- What no batch holds; nil when all is used.
local function left_out(data)
  local parts, word = {}, data.row_word
  for _, split in ipairs { 'train', 'val' } do
    local rows = data[split] and data[split]:left_out() or 0
    if rows > 0 then
      parts[#parts + 1] = ('%s %s of %s'):format(count(rows), rows == 1 and word:gsub('s$', '') or word, split)
    end
  end
  if #parts == 0 then return nil end
  return table.concat(parts, ' and ') .. ' do not fill a batch and are left out (drop_last)'
end

local function data_lines(plan)
  local data = plan.data
  local lines = data:lines { batches = report.batches(data.train:count(), plan.first_batch), val = val_text(plan),
    evaluates = plan.eval_batches > 0 }
  lines[#lines + 1] = left_out(data)
  lines[#lines + 1] = masking(plan.first_batch)
  for i, line in ipairs(lines) do lines[i] = row(i == 1 and 'data' or '', line) end
  return lines
end

local function model_lines(model)
  local rows, width, kinds = model:layers(), 4, 0
  for _, layer in ipairs(rows) do
    width, kinds = math.max(width, #layer.name), math.max(kinds, #layer.layer)
  end
  local lines = {}
  local function line(name, layer, parameters)
    return ('%s  %s %12s'):format(columns.pad(name, width), columns.pad(layer, kinds), count(parameters))
  end
  for i, layer in ipairs(rows) do
    lines[#lines + 1] = row(i == 1 and 'model' or '', line(layer.name, layer.layer, layer.parameters))
  end
  lines[#lines + 1] = row('', line('', 'parameters', model:parameter_count()))
  return lines
end

-- Updates in one epoch, and the batches that so many updates take, which are micro-steps; an epoch's last update may
-- take fewer than `accumulate`.
local function epoch_steps(plan)
  return math.ceil(plan.data.train:count() / plan.accumulate)
end
local function batches_of(plan, updates)
  local per_epoch, batches = epoch_steps(plan), plan.data.train:count()
  return math.floor(updates / per_epoch) * batches + math.min(updates % per_epoch * plan.accumulate, batches)
end

-- "6 updates", with their micro-steps where these are others.
local function updates_of(plan, updates)
  local text = plural(updates, 'update')
  return plan.accumulate > 1 and ('%s (%s)'):format(text, plural(batches_of(plan, updates), 'micro-step')) or text
end

-- Targets that the plan trains on, and whether that is exact: masked ones do not count.
local function planned_targets(plan)
  local train, first, batches = plan.data.train, plan.first_batch, batches_of(plan, plan.steps)
  if plan.data.unmanaged then return batches * (first.targets - first.masked), batches == 1 end
  local epochs, rest = math.floor(batches / train:count()), batches % train:count()
  local epoch = train:epoch_targets()
  local last = math.min(rest * train:targets(), epoch)
  return epochs * epoch + last, rest == 0 or epoch == train:samples() * train:targets() / train:rows()
end

-- "bf16, emulated"; nil in fp32.
local function precision_of(plan)
  if plan.precision == 'fp32' then return nil end
  return plan.precision .. (plan.emulate and ', emulated' or '')
end

local function plan_line(plan)
  local batches = plan.data.train:count()
  local targets, exact = planned_targets(plan)
  local text = ('%s x %s, %s, %s%s'):format(plural(plan.epochs, 'epoch'), plural(batches, 'batch', 'batches'),
    updates_of(plan, plan.steps), exact and '' or 'about ', plural(targets, 'target'))
  if plan.accumulate > 1 then
    local rest = batches % plan.accumulate
    text = ('%s; %d micro-steps an update%s'):format(text, plan.accumulate,
      rest > 0 and (', %d in the last of an epoch'):format(rest) or '')
  end
  local precision = precision_of(plan)
  return row('plan', text .. (precision and '; in ' .. precision or ''))
end

---Lines about data, model and the number of updates; nothing in them was measured.
---@param plan { data: table, first_batch: table, eval_batches: integer, model: Module, steps: integer, epochs: integer,
---accumulate: integer, precision: string, emulate: boolean }
---@return string[]
function report.sizes(plan)
  local lines = data_lines(plan)
  for _, line in ipairs(model_lines(plan.model)) do lines[#lines + 1] = line end
  lines[#lines + 1] = plan_line(plan)
  return lines
end

-- What a step takes that keeps all activations.
local function without_recompute(plan, measured)
  if not plan.recompute then return '' end
  local kept = measured.kept_activation_mb
  return kept and (' (%.0f MB without train.recompute)'):format(kept)
    or ' (without train.recompute it does not fit into memory)'
end

---Lines about memory and time, from the measured step.
---@param plan table
---@param measured { step_s: number, activation_mb: number, kept_activation_mb: number?, first_loss: number }
---@return string[]
function report.measured(plan, measured)
  local mb = plan.model:parameter_count() * 4 / 1e6
  local evals = math.ceil(plan.steps / epoch_steps(plan))
  local batch_s = measured.step_s / math.min(plan.accumulate, plan.data.train:count())
  local eval_s = evals * plan.eval_batches * batch_s / 3 -- a forward is about a third of forward and backward
  local total = plan.steps * measured.step_s + eval_s
  return {
    row('memory', ('parameters %.1f MB, gradients %.1f MB, %s %.1f MB, one step %.0f MB%s%s'):format(mb, mb,
      plan.optimizer_name, mb * plan.optimizer_slots, measured.activation_mb, without_recompute(plan, measured),
      plan.data.bytes and (', data %.1f MB'):format(plan.data.bytes / 1e6) or '')),
    row('measured', ('%s ms %s%s, first loss %.4f; about %s in all'):format(ms(measured.step_s),
      plan.accumulate > 1 and 'an update' or 'a step', plan.with_tscore and ' with T-Score' or '',
      measured.first_loss, duration(total))),
  }, total
end

---What a training is going to take, for --estimate. Checkpoints have weights and optimiser state; the newest ones and
---the best stay, and the weights at the end.
---@param plan table
---@param train_s number of report.measured
---@param keep_last integer
---@return { train_s: number, disk_bytes: number }
function report.estimate(plan, train_s, keep_last)
  local bytes = plan.model:parameter_count() * 4
  return { train_s = train_s, disk_bytes = bytes * (1 + plan.optimizer_slots) * (keep_last + 1) + bytes }
end

---The line that opens a run.
---@param plan table
---@return string
function report.heading(plan)
  local threads = plan.device == 'cpu' and (' (%s)'):format(plural(plan.threads, 'thread')) or ''
  return ('%s  seed %s  device %s%s%s'):format(plan.name, plan.seed or 'not set by a config', plan.device, threads,
    plan.with_tscore and plan.compat ~= 'none' and '  T-Score compat ' .. plan.compat or '')
end

---Lines after training.
---@param fit table
---@param plan table
---@return string[]
function report.summary(fit, plan)
  local lines = { row(fit.state == 'FINISHED' and 'done' or 'stopped',
    ('%s, %s in %s%s'):format(plural(#fit.epochs, 'epoch'), updates_of(plan, fit.steps), duration(fit.seconds),
      fit.reason ~= '' and ' (' .. fit.reason .. ')' or '')) }
  if fit.step_median_s then
    local precision = precision_of(plan)
    -- Updates and forward-backward passes are two rates (guard G15); where an update has one batch, one tells both.
    local micro = plan.accumulate > 1 and fit.micro_median_s
      and ('an update, %s ms a micro-step (forward and backward), '):format(ms(fit.micro_median_s)) or ''
    lines[#lines + 1] = row('step', ('%s ms %smedian (p10 %s, p90 %s), %s %s/s%s'):format(ms(fit.step_median_s), micro,
      ms(fit.step_p10_s), ms(fit.step_p90_s), count(fit[plan.rate] / fit.steps / fit.step_median_s), plan.rate,
      precision and ', in ' .. precision or ''))
  end
  if fit.empty_batches then
    lines[#lines + 1] = row('',
      plural(fit.empty_batches, 'batch', 'batches') .. ' had no targets, so nothing was learnt from them')
  end
  local best = fit.best
  if best then
    local names, metrics = pretty.sorted_keys(best.metrics or {}), ''
    for _, name in ipairs(names) do metrics = ('%s, %s %.4g'):format(metrics, name, best.metrics[name]) end
    lines[#lines + 1] = row('best', best.val_loss
      and ('val %.4f (train %.4f) at epoch %d%s'):format(best.val_loss, best.train_loss, best.epoch, metrics)
      or ('train %.4f at epoch %d (no eval)'):format(best.train_loss, best.epoch))
    local per_token = best.val_loss and plan.data.characters_per_token and plan.data:characters_per_token()
    if per_token then
      lines[#lines + 1] = row('', ('%.4f nats a token of %.2f characters are %.4f a character'):format(best.val_loss,
        per_token, best.val_loss / per_token))
    end
  end
  local t = fit.tscore
  if t and t.mean then
    lines[#lines + 1] = row('T-Score',
      ('%.4f mean%s over %s%s'):format(t.mean, t.std and (', %.4f sd'):format(t.std) or '',
        plural(t.n, 'batch', 'batches'), t.undefined_n > 0 and (', %s undefined'):format(count(t.undefined_n)) or ''))
  end
  local noise = fit.noise
  if noise and noise.signal then
    lines[#lines + 1] = row('noise', noise.scale
      and ('B_simple %.4g samples: tr(Sigma) %.4g over |G|^2 %.4g, means'):format(noise.scale, noise.trace,
        noise.signal)
      or ('no B_simple: the mean estimate of |G|^2 is %.2g, not positive'):format(noise.signal))
  end
  return lines
end

-- A line that a terminal would cut in the middle of a word goes on below its text.
local function wrapped(line, width)
  local lines, indent = {}, (' '):rep(LABEL)
  while #line > width do
    local cut = width
    while cut > LABEL and line:sub(cut, cut) ~= ' ' do cut = cut - 1 end
    if cut <= LABEL then break end
    lines[#lines + 1] = (line:sub(1, cut):gsub('%s+$', ''))
    line = indent .. line:sub(cut + 1):gsub('^%s+', '')
  end
  lines[#lines + 1] = line
  return lines
end

---Prints lines to stderr, no wider than its terminal.
---@param lines string[]
function report.print(lines)
  for _, line in ipairs(lines) do
    local parts = host.isatty(2) and wrapped(line, host.columns()) or { line }
    for _, part in ipairs(parts) do console.note(part) end
  end
end

return report
