-- %reset: the session from its beginning, with the history kept.
local console = require 'console'
local pretty = require 'pretty'
local prompt_globals = require 'prompt.globals'

local magic = { summary = 'forget all variables' }

function magic.run(prompt)
  local count = prompt_globals.reset()
  prompt.session.accepted = {}
  if prompt.session.source then prompt.session.source.text = '' end
  collectgarbage()
  console.write(('%s forgotten\n'):format(pretty.plural(count, 'variable')))
end

return magic
