-- fit.options: the options of a training, by section as in a config; those that the loop reads anew can be set.
local fail = require 'fail'
local journal = require 'live.journal'
local nearest = require 'nearest'
local pretty = require 'pretty'
local specs = require 'config.specs'

local live_options = {}

local SECTIONS = { 'train', 'tscore', 'eval', 'optim' }

local function check_key(section, key)
  if specs[section][key] ~= nil then return end
  fail.config("fit.options.%s: there is no '%s'%s", section, tostring(key),
    nearest.hint(tostring(key), pretty.sorted_keys(specs[section])))
end

---Changes options of a training and writes the changes down.
---@param training table
---@param changes table<string, table> by section and key
function live_options.set(training, changes)
  local before = training.trainer:tuning()
  training.trainer:tune(changes)
  local after = training.trainer:tuning()
  for _, section in ipairs(SECTIONS) do
    for _, key in ipairs(pretty.sorted_keys(changes[section] or {})) do
      local was, is = (before[section] or {})[key], (after[section] or {})[key]
      if was ~= is then
        journal.changed(training, ('%s.%s %s -> %s'):format(section, key, pretty.inline(was), pretty.inline(is)))
      end
    end
  end
end

local function values_of(training, section)
  local values = {}
  local given = section == 'train' and training.o.options or training.o[section] or {}
  for key, value in pairs(given) do values[key] = value end
  for key, value in pairs(training.trainer:tuning()[section] or {}) do values[key] = value end
  return values
end

local function section_of(training, section)
  return setmetatable({}, {
    __index = function(_, key)
      check_key(section, key)
      return values_of(training, section)[key]
    end,
    __newindex = function(_, key, value)
      check_key(section, key)
      if training.fit then fail.raise(1, 'the training is over; its options change nothing any more') end
      live_options.set(training, { [section] = { [key] = value } })
    end,
    __complete = function() return pretty.sorted_keys(specs[section]) end,
    __show = function() return values_of(training, section) end,
  })
end

---@param training table
---@return table options fit.options.optim.clip_norm = 1
function live_options.new(training)
  local sections = {}
  for _, section in ipairs(SECTIONS) do sections[section] = section_of(training, section) end
  return setmetatable({}, {
    __index = function(_, name)
      return sections[name]
        or fail.config("fit.options has no section '%s'%s", tostring(name), nearest.hint(tostring(name), SECTIONS))
    end,
    __newindex = function(_, name)
      fail.config("fit.options.%s is a section or unknown; set one option of it: fit.options.optim.clip_norm = 1",
        tostring(name))
    end,
    __complete = function() return SECTIONS end,
    __show = function()
      local all = {}
      for _, section in ipairs(SECTIONS) do all[section] = values_of(training, section) end
      return all
    end,
  })
end

return live_options
