-- Names that were probably meant. Every "unknown X" message of the library gets its hint here.
local nearest = {}

---Damerau-Levenshtein distance in its restricted form: insert, delete, replace, swap of neighbours.
---@param a string
---@param b string
---@return integer
function nearest.distance(a, b)
  local before, last = {}, {}
  for j = 0, #b do last[j] = j end
  for i = 1, #a do
    local row = { [0] = i }
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      local best = math.min(last[j] + 1, row[j - 1] + 1, last[j - 1] + cost)
      if i > 1 and j > 1 and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        best = math.min(best, before[j - 2] + 1)
      end
      row[j] = best
    end
    before, last = last, row
  end
  return last[#b]
end

local function starts_with(a, b)
  return #b > 0 and a:sub(1, #b) == b
end

local function ends_with(a, b)
  return #b > 2 and a:sub(-#b) == b
end

-- Up to four characters in ten may differ. A name that begins or ends with the other always counts: lrate means lr.
local function is_close(a, b, distance)
  if starts_with(a, b) or starts_with(b, a) or ends_with(a, b) or ends_with(b, a) then return true end
  return distance <= math.max(1, math.floor(0.4 * math.max(#a, #b)))
end

-- Distance of dotted paths, and whether they are close. Within one section only the last part counts; the right last
-- part in another section is one slip, however long the section's name is.
local function path_distance(a, b)
  local section_a, part_a = a:match('^(.-)([^.]*)$')
  local section_b, part_b = b:match('^(.-)([^.]*)$')
  if part_a == part_b then return math.min(nearest.distance(section_a, section_b), 1), true end
  if section_a ~= section_b then part_a, part_b = a, b end
  local distance = nearest.distance(part_a, part_b)
  return distance, is_close(part_a, part_b, distance)
end

---The candidates that `name` may have meant, best first; names that share the smallest distance only.
---@param name string
---@param candidates string[]
---@return string[]
function nearest.find(name, candidates)
  local best, found = math.huge, {}
  for _, candidate in ipairs(candidates) do
    local distance, close = path_distance(name:lower(), candidate:lower())
    if close and distance <= best then
      if distance < best then best, found = distance, {} end
      found[#found + 1] = candidate
    end
  end
  table.sort(found)
  return found
end

-- The candidates in the innermost section of a dotted name that has any; all of them where there is no such section.
local function same_section(name, candidates)
  local section = name:match '^(.*%.)'
  while section do
    local found = {}
    for _, candidate in ipairs(candidates) do
      if candidate:sub(1, #section) == section then found[#found + 1] = candidate end
    end
    if #found > 0 then return found end
    section = section:sub(1, -2):match '^(.*%.)'
  end
  return { unpack(candidates) }
end

---The end of an "unknown" message: "; nearest: a, b", else "; known: ..." (at most 12 names), else "".
---@param name string
---@param candidates string[]
---@param describe? fun(candidate: string): string
---@return string
function nearest.hint(name, candidates, describe)
  local found, label = nearest.find(name, candidates), 'nearest'
  local limit = 3
  if #found == 0 then
    found, label, limit = same_section(name, candidates), 'known', 12
    table.sort(found)
  end
  if #found == 0 then return '' end
  local shown = {}
  for i = 1, math.min(#found, limit) do shown[i] = describe and describe(found[i]) or found[i] end
  if #found > limit and label == 'known' then shown[#shown + 1] = '...' end
  return ('; %s: %s'):format(label, table.concat(shown, ', '))
end

---Raises for a member that a module does not have.
---@param module string
---@param members table
---@param name any
function nearest.missing(module, members, name)
  local names = {}
  for member in pairs(members) do names[#names + 1] = member end
  require('fail').raise(1, "%s has no '%s'%s", module, tostring(name), nearest.hint(tostring(name), names))
end

return nearest
