-- runner sweep resume [SWEEP]: runs what is missing or failed.
local action = {}

function action.run(found, args, extra)
  return require('sweep.run').resume(found, args, extra.argv)
end

return action
