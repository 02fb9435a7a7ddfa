-- sample_text: prints text drawn from the model at the end, and every so many epochs if asked. Draws from its own
-- stream. It goes on from `prompt`, or from the beginning of a line of the val split where none is given.
local callbacks = require 'fit.callbacks'
local encoding = require 'base.encoding'
local sample_prompt = require 'fit.sample_prompt'

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
    prompt = prompt or sample_prompt.of(ctx.data, ctx.model, 'give sample_text a prompt')
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
