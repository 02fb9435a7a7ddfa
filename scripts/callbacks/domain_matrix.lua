-- domain_matrix: the loss on every domain before training and after each phase of data.domains or data.tasks: rows
-- R[i][j] of the loss on domain j after phase i, row 0 before the first. It is measured on the val split; with `on` =
-- 'train' on the first `batches` train batches of each domain, as published. Events `domain_eval` (domain_train_eval),
-- and `domain_pass` with the mean train loss of each pass. The matrix is in the callback's `matrix` and in the fit's
-- `domains` (`domains_train`), those of eval.metrics by name in `domain_metrics`, the passes in `passes`.
local callbacks = require 'fit.callbacks'
local continual = require 'research.continual'
local fail = require 'fail'
local native = require 'lanthorn'

local ARGS = { on = { 'string', 'val', one_of = { 'val', 'train' } }, batches = { 'int', 0, min = 0 } }

-- The first so many of some batches; all for 0.
local function first_of(batches, few)
  if few == 0 or few >= batches:count() then return batches end
  return native.data.from_function(function(index) return batches:get(index) end,
    { count = few, rows = batches:rows(), targets = batches:targets() })
end

return callbacks.define { name = 'domain_matrix', args = ARGS, build = function(o)
  -- Its losses are what it is for, once in a phase however short that is: no overhead that other settings would save.
  local callback = { every = 1, matrix = {}, metrics = {}, passes = {}, over_budget = 'off' }
  local train = o.on == 'train'
  local sum, updates = 0, 0

  local function batches_of(ctx, domain)
    return first_of(train and ctx.data:train_of(domain) or ctx.data:val_of(domain), o.batches)
  end

  local function evaluate(ctx, phase, step)
    local event = train and 'domain_train_eval' or 'domain_eval'
    local line, row, cells = { kind = 'event', event = event, step = step, phase_n = phase }, {}, {}
    for d, name in ipairs(ctx.data.names) do
      local eval = ctx.evaluate(batches_of(ctx, d))
      row[d] = eval.loss
      line[name .. '_loss'] = row[d]
      for metric, value in pairs(eval.metrics or {}) do
        local all = callback.metrics[metric] or {}
        all[phase + 1] = all[phase + 1] or {}
        all[phase + 1][d], callback.metrics[metric] = value, all
      end
      cells[d] = ('%s %.4f'):format(name, row[d])
      ctx.tick()
    end
    callback.matrix[phase + 1] = row
    ctx.log(line)
    ctx.print(('  %s loss %s: %s'):format(o.on, phase == 0 and 'at first' or 'after phase ' .. phase,
      table.concat(cells, '  ')))
  end

  -- The mean of the losses of a pass, as they were met.
  local function end_pass(ctx, phase, pass, step)
    local mean = updates > 0 and sum / updates or nil
    sum, updates = 0, 0
    callback.passes[phase] = callback.passes[phase] or {}
    callback.passes[phase][pass] = mean
    if #ctx.data.phases[phase].passes == 1 or train then return end
    ctx.log { kind = 'event', event = 'domain_pass', step = step, phase_n = phase, pass_n = pass, train_loss = mean }
    ctx.print(('  phase %d, pass %d: train loss %s'):format(phase, pass, mean and ('%.4f'):format(mean) or 'NA'))
  end

  function callback.on_start(ctx)
    if not ctx.data.val_of then fail.config('callback domain_matrix needs data of data.domains or data.tasks') end
    if not train and ctx.data:val_of(1):count() == 0 then
      fail.config "callback domain_matrix: there is no val split; set domains.val, or measure on = 'train'"
    end
    continual.check_epochs(ctx.epochs, 'callback domain_matrix')
  end
  function callback.before_update(ctx, record)
    if #callback.matrix == 0 then evaluate(ctx, 0, record.step - 1) end
  end
  function callback.on_step(ctx, record)
    if record.loss then sum, updates = sum + record.loss, updates + 1 end
    local ended, pass = continual.pass_ended(ctx.data.phases, record)
    if ended then end_pass(ctx, ended, pass, record.step) end
    local phase = continual.ended(ctx.data.phases, record)
    if phase then evaluate(ctx, phase, record.step) end
  end
  function callback.save()
    return { matrix = callback.matrix, metrics = callback.metrics, passes = callback.passes, sum = sum,
      updates = updates }
  end
  function callback.restore(_, saved)
    callback.matrix, callback.metrics = saved.matrix or {}, saved.metrics or {}
    callback.passes, sum, updates = saved.passes or {}, saved.sum or 0, saved.updates or 0
  end
  function callback.on_end(_, fit)
    fit[train and 'domains_train' or 'domains'] = callback.matrix
    fit.domain_metrics, fit.passes = fit.domain_metrics or callback.metrics, fit.passes or callback.passes
  end
  return callback
end }
