-- What a selection has done (systems: K-1): shares of parameters that moved, how evenly nodes were selected, which
-- leaves specialise.
local selection_report = {}

---Normalised entropy of counts: 1 when all are equal, 0 when one has all. nil for a single count or none at all.
---@param counts number[]
---@return number?
function selection_report.entropy(counts)
  local sum, h = 0, 0
  for _, c in ipairs(counts) do sum = sum + c end
  if #counts < 2 or sum == 0 then return nil end
  for _, c in ipairs(counts) do
    if c > 0 then h = h - c / sum * math.log(c / sum) end
  end
  return h / math.log(#counts)
end

---The Gini coefficient: 2 sum(i c_i) / (n sum c) - (n + 1) / n over ascending counts. 0 when all are equal, (n - 1) /
---n when one has all; nil when there are no counts.
---@param counts number[]
---@return number?
function selection_report.gini(counts)
  local sorted, sum, weighted = {}, 0, 0
  for i, c in ipairs(counts) do sorted[i] = c end
  table.sort(sorted)
  for i, c in ipairs(sorted) do sum, weighted = sum + c, weighted + i * c end
  if sum == 0 then return nil end
  return 2 * weighted / (#sorted * sum) - (#sorted + 1) / #sorted
end

---Whether a node that was not selected stays as it is: not where the gradients alone are masked, which momentum and
---weight decay do not need.
---@param report table of Selection:report
---@return boolean
function selection_report.holds(report)
  return report.apply ~= 'gradient' or report.moments == 'lazy'
end

---The mean share of all parameters that an update touches, and the same weighted by the nodes' shares of their updates.
---@param report table of Selection:report
---@param parameters integer of the whole model
---@return number? touched nil before the first update, and of masked gradients: the optimiser moves what has none
---@return number? effective nil before the first update; of masked gradients the share that was left of them
function selection_report.shares(report, parameters)
  if report.steps == 0 then return nil end
  local of_nodes, touched, effective = 0, 0, 0
  for _, node in ipairs(report.nodes) do
    of_nodes = of_nodes + node.parameters
    local entries = node.parameters * (report.entry_share or 1)
    touched = touched + node.count / report.steps * entries
    effective = effective + node.effective / report.steps * entries
  end
  local shared = parameters - of_nodes
  touched = touched + (report.shared > 0 and shared or 0)
  return selection_report.holds(report) and touched / parameters or nil,
    (effective + report.shared * shared) / parameters
end

-- How often each leaf was blamed.
local function blamed(histogram)
  local counts = {}
  for _, row in ipairs(histogram) do
    for k, c in ipairs(row) do counts[k] = (counts[k] or 0) + c end
  end
  return counts
end

---How evenly nodes are selected. The root alone is on every path, so it is left out. dead: nodes that no update
---moved, nil where gradients are masked. The published rule scales all nodes, so of it only the leaves that its paths
---end at are counted.
---@param report table
---@return { entropy: number?, gini: number?, leaf_entropy: number?, leaf_gini: number?, dead: integer?,
---levels: table[] }
function selection_report.balance(report)
  if report.rule == 'published' then
    local counts = blamed(report.histogram)
    return { leaf_entropy = selection_report.entropy(counts), leaf_gini = selection_report.gini(counts), levels = {} }
  end
  local all, leaves, levels, dead = {}, {}, {}, 0
  for _, node in ipairs(report.nodes) do
    if node.count == 0 then dead = dead + 1 end
    if node.level > 0 then
      all[#all + 1] = node.count
      levels[node.level] = levels[node.level] or {}
      table.insert(levels[node.level], node.count)
    end
    if node.leaf then leaves[#leaves + 1] = node.count end
  end
  local rows = {}
  for level, counts in ipairs(levels) do
    rows[level] = { level = level, entropy = selection_report.entropy(counts), gini = selection_report.gini(counts) }
  end
  return { entropy = selection_report.entropy(all), gini = selection_report.gini(all),
    leaf_entropy = selection_report.entropy(leaves), leaf_gini = selection_report.gini(leaves),
    dead = selection_report.holds(report) and dead or nil, levels = rows }
end

---Mutual information of domain and leaf in nats, less the bias (D - 1)(K - 1) / (2 n) of counting (Miller 1955), D
---the domains that were trained on. nil without counts.
---@param histogram number[][] a row for each domain
---@return number?
function selection_report.mutual_information(histogram)
  local sum, rows, columns, domains = 0, {}, {}, 0
  for d, row in ipairs(histogram) do
    for k, c in ipairs(row) do
      sum, rows[d], columns[k] = sum + c, (rows[d] or 0) + c, (columns[k] or 0) + c
    end
    if rows[d] > 0 then domains = domains + 1 end
  end
  if sum == 0 then return nil end
  local information = 0
  for d, row in ipairs(histogram) do
    for k, c in ipairs(row) do
      if c > 0 then information = information + c / sum * math.log(c * sum / (rows[d] * columns[k])) end
    end
  end
  return information - (domains - 1) * (#columns - 1) / (2 * sum)
end

-- The largest share of one domain among a leaf's selections, the domain, and how often the leaf was selected.
local function largest_share(histogram, leaf)
  local total, best, domain = 0, 0, nil
  for d, row in ipairs(histogram) do
    total = total + row[leaf]
    if row[leaf] > best then best, domain = row[leaf], d end
  end
  return total > 0 and best / total or 0, domain, total
end

local EXACT = 40 -- selections up to which the chance share is exact

-- The probability that each of d equally likely domains has at most `most` of r selections, for all r up to n.
local function none_above(most, d, n)
  local p = {}
  for r = 0, n do p[r] = r <= most and 1 or 0 end -- one domain has them all
  for domains = 2, d do
    local q, next_p = 1 / domains, {}
    for r = 0, n do
      local chosen, sum = (1 - q) ^ r, 0 -- of j = 0
      for j = 0, math.min(r, most) do
        sum = sum + chosen * p[r - j]
        chosen = chosen * (r - j) / (j + 1) * q / (1 - q)
      end
      next_p[r] = sum
    end
    p = next_p
  end
  return p[n]
end

---The share that the largest of some equally likely domains has on average among n selections by chance alone: 0.63
---for three domains and three selections. Exact up to 40, then by its square root law.
---@param domains integer
---@param n integer
---@return number
function selection_report.chance_share(domains, n)
  if domains < 2 or n < 1 then return 1 end
  local exact, expected = math.min(n, EXACT), 0
  for most = 0, exact - 1 do expected = expected + 1 - none_above(most, domains, exact) end
  return 1 / domains + (expected / exact - 1 / domains) * math.sqrt(exact / n)
end

-- The histogram of blocks under these labels.
local function add_up(blocks, labels, domains)
  local histogram = {}
  for d = 1, domains do
    histogram[d] = {}
    for k = 1, #blocks[1].counts do histogram[d][k] = 0 end
  end
  for i, block in ipairs(blocks) do
    local row = histogram[labels[i]]
    for k, c in ipairs(block.counts) do row[k] = row[k] + c end
  end
  return histogram
end

---Which leaves specialise: those whose selections come from one domain by more than half, at least `least` of them,
---and more than chance explains when the domains' labels are permuted over contiguous blocks of updates (p < 0.01).
---@param blocks { domain: integer, counts: number[] }[] selections of each leaf in consecutive updates of one domain
---@param domains integer
---@param o? { least: integer?, permutations: integer?, random: (fun(): number)? }
---@return { leaf: integer, domain: integer?, share: number, count: integer, p: number, specialist: boolean }[]
function selection_report.specialists(blocks, domains, o)
  o = o or {}
  local least, permutations, random = o.least or 50, o.permutations or 999, o.random or math.random
  if #blocks == 0 then return {} end
  local labels = {}
  for i, block in ipairs(blocks) do labels[i] = block.domain end
  local seen, at_least, rows = add_up(blocks, labels, domains), {}, {}
  for k = 1, #blocks[1].counts do
    local share, domain, count = largest_share(seen, k)
    rows[k], at_least[k] = { leaf = k, domain = domain, share = share, count = count }, 1
  end
  for _ = 1, permutations do
    for i = #labels, 2, -1 do
      local j = math.floor(random() * i) + 1
      labels[i], labels[j] = labels[j], labels[i]
    end
    local permuted = add_up(blocks, labels, domains)
    for k, row in ipairs(rows) do
      if largest_share(permuted, k) >= row.share then at_least[k] = at_least[k] + 1 end
    end
  end
  for k, row in ipairs(rows) do
    row.p = at_least[k] / (permutations + 1)
    row.specialist = row.share > 0.5 and row.count >= least and row.p < 0.01
  end
  return rows
end

return selection_report
