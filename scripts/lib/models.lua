-- The models of scripts/models, by file name: models.char_rnn { vocab = 65 }.
local host = require 'host'
local nearest = require 'nearest'
local fail = require 'fail'

return setmetatable({}, {
  __index = function(models, name)
    local names = {}
    for _, path in ipairs(host.embedded_list('models/')) do names[#names + 1] = path:match('([%w_]+)%.lua$') end
    for _, known in ipairs(names) do
      if known == name then
        models[name] = require('models.' .. name)
        return models[name]
      end
    end
    fail.raise(1, "models has no '%s'%s", tostring(name), nearest.hint(tostring(name), names))
  end,
})
