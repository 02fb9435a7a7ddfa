-- Can a callback's threshold be reached? A callback that acts on T-Score declares `metric`, a function of a score,
-- and `threshold`. The metric is tried on gradients that are identical, opposite, and random, between which all
-- batches lie (guard G34).
local callback_threshold = {}

-- A score as tscore.measure gives it, of N gradients of length 1 whose sum has the square s.
local function score(n, s)
  local q = n
  local t = math.min(1, math.max(0, 1 - s / (n * q)))
  local trace, signal = (q / n - s / n ^ 2) * n / (n - 1), (s / n - q / n) / (n - 1)
  return { t = t, t_corrected = t * n / (n - 1), raw = t, s = s, q = q, n = n, status = 'ok', method = 'probe',
    noise = { trace = trace, signal = signal, scale = signal > 0 and trace / signal or nil,
      status = signal > 0 and 'ok' or 'no_signal' } }
end

---Scores of N gradients: identical, opposite in pairs, random (orthogonal, in many dimensions), and two between.
---@param n integer samples, at least 2
---@return table[]
function callback_threshold.scores(n)
  n = math.max(2, n)
  return { score(n, n * n), score(n, 0), score(n, n), score(n, n * n / 2), score(n, n / 2) }
end

---The lowest and the highest value of a metric on the probe inputs; nil when it has no value on any.
---@param metric fun(score: table): number?
---@param n integer samples in a batch
---@return number? low, number? high
function callback_threshold.span(metric, n)
  local low, high
  for _, input in ipairs(callback_threshold.scores(n)) do
    local value = metric(input)
    if value and value == value then
      low, high = math.min(low or value, value), math.max(high or value, value)
    end
  end
  return low, high
end

---What is wrong with a callback's threshold; nil when nothing is, or when it declares none.
---@param callback table
---@param n integer
---@return string?
function callback_threshold.problem(callback, n)
  if not callback.threshold then return nil end
  local low, high = callback_threshold.span(callback.metric, n)
  local name = callback.name or '?'
  if not low then
    return ("callback '%s': its metric has no value on identical, opposite and random gradients"):format(name)
  end
  if callback.threshold >= low and callback.threshold <= high then return nil end
  return ("callback '%s': threshold %g, but its metric spans %.2f-%.2f on identical, opposite and random gradients; "
    .. 'it would act always or never'):format(name, callback.threshold, low, high)
end

return callback_threshold
