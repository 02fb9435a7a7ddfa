-- A model's weights belong to the vocabulary they were trained with: under another one the same ids mean other
-- characters or words, nothing fails, and the numbers are wrong.
local fail = require 'fail'

local vocabulary = {}

---Raises when weights were trained with another vocabulary than that of the data.
---@param model Module
---@param data DataSet
---@param way_out string what would be right, for the message
function vocabulary.check(model, data, way_out)
  local own, now = model:vocabulary(), data:vocab_sha256()
  if own and now and own ~= now then
    fail.data("the model's weights were trained with another vocabulary than that of '%s' (%d %s): the same ids mean "
      .. "other ones; %s", tostring(data.name or 'data.' .. data.kind), data.vocab_size,
      data.token_word or 'tokens', way_out)
  end
end

return vocabulary
