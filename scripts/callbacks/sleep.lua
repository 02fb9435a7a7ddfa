-- sleep: what GodelAI published as a cure of forgetting. When the T-Score of a batch falls below `below`, small weights
-- are pruned, all are shrunk and shaken, and the update is made with the gradients of the weights after it
-- (`skip_update`: not at all). Between two sleeps lie `cooldown` updates; they make up `max_share` of the last 200, and
-- the first is after `start_after` epochs. compat = 'v1.1': none of these limits, and no update where it sleeps.
-- `steps`: sleep at these updates and no others, whatever T is: the control.
-- Events `sleep`; what it did is in the fit's `sleep`. l_prop = max(0, T_before - T)^gamma, the published penalty, is
-- logged at each epoch's end (`propagation`): it is a constant to the weights, so it has no gradient and is not added
-- to the loss.
local callbacks = require 'fit.callbacks'
local fail = require 'fail'
local guards = require 'guards.registry'
local native = require 'lanthorn'
local specs = require 'config.specs'

local ARGS = specs.rows('sleep', { below = { 'number', 0.3, min = 0 }, gamma = { 'number', 2, min = 0 },
  start_after = { 'number', 1, min = 0 }, cooldown = { 'int', 50, min = 0 }, max_share = { 'number', 0.05, min = 0 },
  skip_update = { 'boolean', false }, steps = 'list?', compat = { 'string', 'none', one_of = { 'none', 'v1.1' } } })
ARGS.seed = nil -- a stream of the training's own

local WINDOW = 200  -- updates that max_share is a share of
local DEADLOCK = 100 -- updates of which half or more are skipped while nothing is learnt
local LEAST = 0.05  -- nats below ln V that count as having learnt something

local Sleep = {}
Sleep.__index = Sleep

local function noise_seed(seed, count)
  return (seed * 2654435761 + 40503 * count + 97) % 4294967296
end

-- Whether it may sleep at this update: not too early, too soon or too often.
function Sleep:allowed(step)
  local o = self.o
  if o.compat == 'v1.1' then return true end
  if step <= o.start_after * self.epoch_updates then return false end
  local recent = 0
  for _, at in ipairs(self.slept) do
    if at > step - WINDOW then recent = recent + 1 end
  end
  return not (self.last and step - self.last <= o.cooldown) and recent + 1 <= o.max_share * WINDOW
end

-- Whether it sleeps now. An update that was asked for by number counts whatever T is.
function Sleep:wants(step, t)
  if self.at then return self.at[step] or false end
  return t ~= nil and t < self.o.below
end

function Sleep:fall_asleep(ctx, record, t)
  local options = specs.native_part('sleep', self.o)
  options.seed = noise_seed(ctx.seed or 0, self.count)
  local report = native.train.sleep_weights(ctx.model, options)
  self.count = self.count + 1
  self.slept[#self.slept + 1], self.last = record.step, record.step
  if self.slept[1] <= record.step - WINDOW then table.remove(self.slept, 1) end
  self.now = { kind = 'event', event = 'sleep', step = record.step, tscore = t, loss_before = record.loss,
    pruned_pct = report.pruned_pct, norm_before = report.norm_before, norm_after = report.norm_after,
    count_n = self.count }
  self.pruned = self.pruned + report.pruned_pct
  return 'again'
end

-- The weights have slept: the record has the loss of the same batch after it.
function Sleep:wake(ctx, record)
  self.now.loss_after = record.loss
  ctx.log(self.now)
  self.now = nil
  self.skips = self.o.skip_update or self.o.compat == 'v1.1'
  if not self.skips then return nil end
  self:remember(1)
  self:check_deadlock(ctx, record)
  return 'skip'
end

function Sleep:before_update(ctx, record)
  if record.again then return self.now and self:wake(ctx, record) end
  local t = record.tscore and record.tscore.t
  self.skips = false
  if t then
    local fall = math.max(0, self.t_before - t)
    self.propagation, self.scores = self.propagation + fall ^ self.o.gamma, self.scores + 1
    self.t_before = t
  end
  if not self:wants(record.step, t) then return nil end
  if not self.at and not self:allowed(record.step) then
    self.capped = self.capped + 1
    return nil
  end
  self.t_before = 1
  return self:fall_asleep(ctx, record, t)
end

function Sleep:remember(skipped)
  self.recent[#self.recent + 1] = skipped
  if #self.recent > DEADLOCK then table.remove(self.recent, 1) end
end

-- Sleeping in place of learning: nothing is learnt, and T stays low because of that.
function Sleep:check_deadlock(ctx, record)
  local all = 0
  for _, one in ipairs(self.recent) do all = all + one end
  local classes = ctx.data.vocab_size
  if #self.recent < DEADLOCK or 2 * all < DEADLOCK or not classes or not record.loss then return end
  local level = ctx.guards.skipped_updates
  if level == 'off' or self.warned or record.loss <= math.log(classes) - LEAST then return end
  local text = guards.say('G36', 'sleep_deadlock: %d of the last %d updates were sleeps that took the place of the '
    .. 'update, and the loss is %.4f of ln V = %.4f: nothing is learnt, T stays below %g, and so it sleeps again; use '
    .. 'skip_update = false, a lower `below`, or a cooldown; to accept: guards.skipped_updates=off', all, DEADLOCK,
    record.loss, math.log(classes), self.o.below)
  if level == 'error' then fail.raise(guards.find('G36').code, '%s', text) end
  self.warned = true
  ctx.trainer:warn(text)
end

-- What the threshold will do, before it does.
function Sleep:foretell(ctx)
  local score = ctx.trainer:probe_tscore(1)[1]
  local t, rows = score and score.t, ctx.data.train:rows()
  ctx.print(('  sleep below T %g; the untrained T is %s'):format(self.o.below, t and ('%.4f'):format(t) or 'NA'))
  if t and self.o.below > t then
    ctx.print '  sleep: that is above the untrained T, so it would sleep from the first update on'
  end
  if self.o.below >= 1 - 1 / rows then
    ctx.print(('  sleep: orthogonal gradients of %d rows have T %.4f: above that it hardly ever ends'):format(rows,
      1 - 1 / rows))
  end
end

local function summary(self)
  return { sleeps = self.count, capped = self.capped, pruned_pct = self.count > 0 and self.pruned / self.count or nil,
    below = self.o.below, compat = self.o.compat }
end

return callbacks.define { name = 'sleep', args = ARGS, build = function(o)
  local self = setmetatable({ o = o, count = 0, capped = 0, pruned = 0, slept = {}, recent = {}, t_before = 1,
    propagation = 0, scores = 0 }, Sleep)
  if o.steps then
    self.at = {}
    for i, step in ipairs(o.steps) do
      if type(step) ~= 'number' or step < 1 or step % 1 ~= 0 then
        fail.config("callback 'sleep': steps[%d] is %s, expected the number of an update, from 1", i, tostring(step))
      end
      self.at[step] = true
    end
  end
  -- Random times have no threshold to reach.
  local callback = { every = 1, over_budget = 'off',
    metric = not o.steps and function(score) return score.t end or nil,
    threshold = not o.steps and o.compat == 'none' and o.below > 0 and o.below or nil }
  function callback.on_start(ctx)
    local batches = ctx.data.phases and ctx.data.phases[1].passes[1] or ctx.data.train:count()
    self.epoch_updates = math.ceil(batches / ctx.accumulate)
    if not o.steps and ctx.tscore_every == 0 then
      fail.config "callback 'sleep' acts on T-Score, which is off; set tscore.every=1, or give it `steps`"
    end
    if o.compat ~= 'none' then ctx.print(("  sleep: compat '%s', as published"):format(o.compat)) end
    if not o.steps then self:foretell(ctx) end
  end
  function callback.before_update(ctx, record) return self:before_update(ctx, record) end
  function callback.on_step()
    if not self.skips then self:remember(0) end
  end
  function callback.on_epoch(ctx, record)
    local propagation = self.scores > 0 and self.propagation / self.scores or nil
    ctx.log { kind = 'event', event = 'propagation', step = record.step, sleeps_n = self.count, capped_n = self.capped,
      propagation_loss = propagation, has_gradient = false,
      -- As published: a constant that was added to the loss that is told.
      reported_loss = o.compat == 'v1.1' and propagation and record.train_loss + 0.1 * propagation or nil }
    self.propagation, self.scores = 0, 0
  end
  function callback.save()
    return { count = self.count, capped = self.capped, pruned = self.pruned, slept = self.slept, last = self.last,
      recent = self.recent, t_before = self.t_before, propagation = self.propagation, scores = self.scores }
  end
  function callback.restore(_, saved)
    for key, value in pairs(saved) do self[key] = value end
  end
  function callback.on_end(ctx, fit)
    fit.sleep = summary(self)
    ctx.print(('  sleep: %d sleeps in %d updates%s%s'):format(self.count, fit.steps,
      self.capped > 0 and (', %d more were not allowed'):format(self.capped) or '',
      self.count == 0 and ': this arm is the same as one without it' or ''))
  end
  return callback
end }
