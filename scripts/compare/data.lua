-- Losses of different texts say nothing about each other: runs that are averaged or compared must have had the same
-- data, unless a key of the config says why they had not.
local data_records = require 'runs.data_records'
local fail = require 'fail'

local data = {}

local function concerns_data(paths)
  for _, path in ipairs(paths or {}) do
    if path:find '^data%.' or path:find '^domains%.' then return true end
  end
  return false
end

-- The first record whose data differ from those of `record`, and how.
local function first_other(record, records)
  for _, other in ipairs(records) do
    local difference = data_records.difference(record.data, other.data)
    if difference then return other, difference end
  end
  return nil
end

local function refuse(record, other, difference)
  fail.data("the data of '%s' are not those of '%s': %s; losses of different data cannot be compared (--allow-mixed "
    .. "does it all the same)", other.name, record.name, difference)
end

---Marks for arms with different data. Raises where no key of the config tells why they differ.
---@param arms table[] of compare.arms
---@param keys string[] keys that the arms differ in
---@param allow_mixed boolean?
---@return string[] marks
function data.marks(arms, keys, allow_mixed)
  local marks = {}
  for _, arm in ipairs(arms) do
    local first = arm.records[1]
    local other, difference = first_other(first, arm.records)
    if other then
      if not allow_mixed and not concerns_data(arm.mixed) then refuse(first, other, difference) end
      marks[#marks + 1] = ("arm '%s' has different data: '%s': %s"):format(arm.label, other.name, difference)
    end
  end
  local first = arms[1].records[1]
  for i = 2, #arms do
    local other = arms[i].records[1]
    local difference = data_records.difference(first.data, other.data)
    if difference then
      local explained = concerns_data(keys) or other.run.experiment ~= first.run.experiment
      if not allow_mixed and not explained then refuse(first, other, difference) end
      marks[#marks + 1] = ("the data of arm '%s' are not those of arm '%s': %s"):format(arms[i].label, arms[1].label,
        difference)
    end
  end
  return marks
end

return data
