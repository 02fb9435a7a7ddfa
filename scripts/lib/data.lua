-- Data for train.fit, by the file of scripts/data that makes it: data.text { corpus = 'tinyshakespeare' }.
local experiment = require 'experiment'

-- What the config says of data that a script makes: the seed, and whether there will be evals.
local function settings()
  local values = experiment.current().values
  return { seed = values.train and values.train.seed or 0, evaluates = not (values.eval and values.eval.off) }
end

return require('base.room').members('data', function(make)
  return function(given) return make(given, settings()) end
end)
