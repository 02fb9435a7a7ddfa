-- A model's weights belong to the vocabulary they were trained with: under another one the same ids mean other characters or words,
-- nothing fails, and the numbers are wrong.
local fail = require 'fail'
local native = require 'lanthorn'
local torch = require 'torch'

local vocabulary = {}

---Checksum of a text's vocabulary; nil for data that have none.
---@param data table
---@return string?
function vocabulary.of(data)
  if type(data) ~= 'table' or data.kind ~= 'text' and data.kind ~= 'domains' then return nil end
  return 'sha256:' .. native.data.sha256_text(data:decode(torch.arange(data.vocab_size)))
end

---Raises when weights were trained with another vocabulary than that of the data.
---@param model Module
---@param data table
---@param way_out string what would be right, for the message
function vocabulary.check(model, data, way_out)
  local own, now = model:vocabulary(), vocabulary.of(data)
  if own and now and own ~= now then
    fail.data("the model's weights were trained with another vocabulary than that of '%s' (%d %s): the same ids mean other ones; %s",
      tostring(data.name or 'data.domains'), data.vocab_size, data.options.words and data.options.words > 0 and 'words' or 'characters',
      way_out)
  end
end

return vocabulary
