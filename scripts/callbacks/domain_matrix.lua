-- domain_matrix: the val loss of every domain before training and after each phase of data.domains: rows R[i][j] of
-- loss on domain j after phase i, row 0 before the first. Events `domain_eval`; the matrix is in the callback's
-- `matrix` and in the fit's `domains`.
local callbacks = require 'fit.callbacks'
local continual = require 'research.continual'
local fail = require 'fail'

return callbacks.define { name = 'domain_matrix', args = {}, build = function()
  -- Its losses are what it is for, once in a phase however short that is: no overhead that other settings would save.
  local callback = { every = 1, matrix = {}, over_budget = 'off' }
  local function evaluate(ctx, phase, step)
    local line, row = { kind = 'event', event = 'domain_eval', step = step, phase_n = phase }, {}
    for d, name in ipairs(ctx.data.names) do
      row[d] = ctx.evaluate(ctx.data:val_of(d)).loss
      line[name .. '_loss'] = row[d]
      ctx.tick()
    end
    callback.matrix[phase + 1] = row
    ctx.log(line)
    local cells = {}
    for d, name in ipairs(ctx.data.names) do cells[d] = ('%s %.4f'):format(name, row[d]) end
    ctx.print(('  val loss %s: %s'):format(phase == 0 and 'at first' or 'after phase ' .. phase,
      table.concat(cells, '  ')))
  end
  function callback.on_start(ctx)
    if not ctx.data.val_of then fail.config('callback domain_matrix needs data of data.domains') end
    if ctx.epochs > 1 then
      fail.config('callback domain_matrix needs train.epochs=1, got %d (a later epoch would overwrite the rows of the '
        .. 'first); repeat phases by domains.phases={1,2,1,2}, or lengthen them by domains.batches', ctx.epochs)
    end
  end
  function callback.before_update(ctx, record)
    if #callback.matrix == 0 then evaluate(ctx, 0, record.step - 1) end
  end
  function callback.on_step(ctx, record)
    local phase = continual.ended(ctx.data.phases, record)
    if phase then evaluate(ctx, phase, record.step) end
  end
  function callback.save() return { matrix = callback.matrix } end
  function callback.restore(_, saved) callback.matrix = saved.matrix or {} end
  function callback.on_end(_, fit) fit.domains = callback.matrix end
  return callback
end }
