-- What a model that learns several domains one after the other kept and what it still could learn (guard G40). From
-- the matrix R, where R[i][j] is the loss on domain j after training domain i of n, all of these are given together,
-- since one alone hides the others:
--   final_mean         1/n sum_j R[n][j]
--   new_task           1/n sum_i R[i][i]                               the loss on each domain right after its training
--   forgetting         1/(n-1) sum_{j<n} (R[n][j] - min_{j<=i<n} R[i][j])  0 or less: nothing is forgotten
--   backward_transfer  1/(n-1) sum_{j<n} (R[j][j] - R[n][j])           above 0: later domains helped the earlier ones
-- Chaudhry et al. 2018, "Riemannian Walk" (forgetting); Lopez-Paz and Ranzato 2017, "Gradient Episodic Memory"
-- (transfer). Both are written for accuracies there; with losses the signs are turned so that they mean the same. For
-- accuracies (better = 'higher') they are as written, and what is forgotten is at least 0:
--   forgetting         1/(n-1) sum_{j<n} max(0, max_{i<n} R[i][j] - R[n][j])
local fail = require 'fail'
local guards = require 'guards.registry'

local plasticity = {}

local function is_number(value)
  return type(value) == 'number' and value == value
end

local function check(matrix, names)
  local n = #names
  for i = 1, n do
    for j = 1, n do
      local value = type(matrix[i]) == 'table' and matrix[i][j] or nil
      if not is_number(value) then
        fail.raise(1, '%s', guards.say('G40', "R[%d][%d] is missing: the loss on domain %d '%s' after training domain "
          .. "%d '%s'; without the whole matrix nothing is said about forgetting", i, j, j, names[j], i, names[i]))
      end
    end
  end
end

local function domain_names(matrix, names)
  if names then return names end
  local made, n = {}, 0
  for i, row in pairs(matrix) do
    n = math.max(n, i)
    for j in pairs(row) do n = math.max(n, j) end
  end
  for i = 1, n do made[i] = ('%d'):format(i) end
  return made
end

---The measures of a matrix. Raises (exit 1) for an entry that is missing or NaN, with its i and j.
---@param matrix number[][] matrix[i][j]: the loss on domain j after training domain i
---@param names string[]? of the domains, in the order of training
---@param better string? 'lower' as of losses, or 'higher' as of accuracies
---@return { n: integer, names: string[], matrix: number[][], final_mean: number, new_task: number, forgetting: number?,
---backward_transfer: number? } measures the last two are nil for one domain
function plasticity.measures(matrix, names, better)
  local sign = better == 'higher' and -1 or 1
  names = domain_names(matrix, names)
  check(matrix, names)
  local n = #names
  if n == 0 then fail.raise(1, '%s', guards.say('G40', 'the matrix has no domain')) end
  local final, new, forgotten, transfer = 0, 0, 0, 0
  for j = 1, n do
    final, new = final + matrix[n][j], new + matrix[j][j]
    if j < n then
      local best = math.huge
      -- Of accuracies from the first phase on, as published; a loss from when the domain was trained.
      for i = sign == 1 and j or 1, n - 1 do best = math.min(best, sign * matrix[i][j]) end
      local lost = sign * matrix[n][j] - best
      if better == 'higher' then lost = math.max(0, lost) end
      forgotten, transfer = forgotten + lost, transfer + sign * (matrix[j][j] - matrix[n][j])
    end
  end
  return { n = n, names = names, matrix = matrix, final_mean = final / n, new_task = new / n,
    forgetting = n > 1 and forgotten / (n - 1) or nil, backward_transfer = n > 1 and transfer / (n - 1) or nil }
end

local function number(value)
  return value and ('%.4f'):format(value) or 'NA'
end

---The whole matrix and all measures as lines of text.
---@param matrix number[][]
---@param names string[]?
---@param more { untrained: number[]?, better: string? }? the row before any training; as in measures
---@return string[]
function plasticity.lines(matrix, names, more)
  more = more or {}
  local m = plasticity.measures(matrix, names, more.better)
  local width = 8
  for _, name in ipairs(m.names) do width = math.max(width, #name) end
  local function pad(text) return (' '):rep(width - #text) .. text end
  local head = { pad 'after' }
  for j, name in ipairs(m.names) do head[j + 1] = pad(name) end
  local what = more.better == 'higher' and 'accuracy' or 'loss'
  local lines = { what .. ' on each domain (columns) after training each domain (rows)', table.concat(head, '  ') }
  local function add(name, values)
    local row = { pad(name) }
    for j = 1, m.n do row[j + 1] = pad(number(values[j])) end
    lines[#lines + 1] = table.concat(row, '  ')
  end
  if more.untrained then add('-', more.untrained) end
  for i, name in ipairs(m.names) do add(name, m.matrix[i]) end
  lines[#lines + 1] = ('final mean %s  new-task %s %s  forgetting from the best %s  backward transfer %s')
    :format(number(m.final_mean), what, number(m.new_task), number(m.forgetting), number(m.backward_transfer))
  return lines
end

return plasticity
