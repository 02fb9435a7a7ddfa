-- The models of scripts/models, by file name: models.char_rnn { vocab = 65 }.
local fail = require 'fail'
local nearest = require 'nearest'
local room = require 'base.room'

return setmetatable({}, {
  __index = function(models, name)
    models[name] = room.load('models', tostring(name))
      or fail.raise(1, "models has no '%s'%s", tostring(name), nearest.hint(tostring(name), room.names 'models'))
    return models[name]
  end,
})
