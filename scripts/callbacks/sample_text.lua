-- sample_text: prints text drawn from the model at the end, and every so many epochs if asked. Draws from its own
-- stream. It goes on from `prompt`, or from the beginning of a line of the val split where none is given.
local callbacks = require 'fit.callbacks'
local encoding = require 'base.encoding'

local PROMPT_LENGTH = 24 -- characters of a line at most
local LOOK_AT = 16 -- batches at the beginning of val
local CHARACTER = '[%z\1-\127\194-\244][\128-\191]*'

-- The beginning of a line, with its end if that is near; and whether the text held that much. No word is cut where
-- there are several.
local function beginning(line)
  local length, count = 0, 0
  for character in line:gmatch(CHARACTER) do
    length, count = length + #character, count + 1
    if character == '\n' then return line:sub(1, length), true end
    if count == PROMPT_LENGTH then break end
  end
  local start = line:sub(1, length)
  local at_end_of_word = line:find('^%s', length + 1)
  return not at_end_of_word and start:match '^(.*%S)%s+%S*$' or start, count == PROMPT_LENGTH
end

-- A prompt out of the texts of a training: the first beginning of a line that is as long as wanted, else the longest;
-- the first characters where no line begins.
local function prompt_of(data)
  local batches = data:prompt_batches()
  if not batches then error(('data.%s has no text to begin with; give sample_text a prompt'):format(data.kind), 0) end
  if batches:count() == 0 then batches = data.train end
  local first, longest
  for i = 0, math.min(batches:count(), LOOK_AT) - 1 do
    local ids = batches:get(i)
    for j = 0, ids:size(0) - 1 do
      local row = data:decode(ids[j])
      first = first or row
      local before = row:find '[\r\n][^%s]'
      local start, whole = beginning(before and row:sub(before + 1) or '')
      if whole then return start end
      if #start > #(longest or '') then longest = start end
    end
  end
  return longest or (beginning(first))
end

-- Carriage returns would move the cursor of a terminal.
local function visible(text)
  return (text:gsub('\r', encoding.is_unicode() and '␍' or '\\r'))
end

local ARGS = { every_epochs = { 'int', 0, min = 0 }, prompt = 'string?', length = { 'int', 200, min = 1 },
  temperature = { 'number', 0.8, min = 0 }, top_k = { 'int', 0, min = 0 }, top_p = { 'number', 1 },
  seed = { 'int', 0 } }

return callbacks.define { name = 'sample_text', args = ARGS, build = function(o)
  local prompt = o.prompt
  local function draw(ctx)
    prompt = prompt or prompt_of(ctx.data)
    return ctx.generate { prompt = prompt, length = o.length, temperature = o.temperature, top_k = o.top_k,
      top_p = o.top_p, seed = o.seed }
  end
  local function sample(ctx, heading)
    local ok, text = pcall(draw, ctx)
    if not ok then
      ctx.print(('%s failed: %s'):format(heading, tostring(text)))
      return
    end
    local words = ctx.data.token_word == 'words'
    ctx.print(visible(('%s\n%s%s%s'):format(heading, prompt, words and not prompt:find '%s$' and ' ' or '', text)))
    ctx.log { kind = 'event', event = 'sample', prompt = prompt, text = text }
  end
  return {
    on_epoch = o.every_epochs > 0 and function(ctx, record)
      if record.epoch % o.every_epochs == 0 then sample(ctx, ('sample after epoch %d'):format(record.epoch)) end
    end or nil,
    on_end = function(ctx) sample(ctx, 'sample') end,
  }
end }
