-- sample_text: prints text drawn from the model at the end, and every so many epochs if asked. Draws from its own stream.
local options = require 'options'

return function(given)
  local o = options.check('callback sample_text', given, { every_epochs = { 'int', 0 }, prompt = { 'string', 'ROMEO:\n' },
    length = { 'int', 200 }, temperature = { 'number', 0.8 }, top_k = { 'int', 0 }, top_p = { 'number', 1 }, seed = { 'int', 0 } })
  local function sample(ctx, heading)
    local ok, text = pcall(ctx.generate, o)
    if not ok then
      ctx.print(('%s: no sample: %s'):format(heading, tostring(text)))
      return
    end
    local words = ctx.data.kind == 'domains' and ctx.data.options.words > 0
    ctx.print(('%s\n%s%s%s'):format(heading, o.prompt, words and not o.prompt:find '%s$' and ' ' or '', text))
    ctx.log { kind = 'event', event = 'sample', prompt = o.prompt, text = text }
  end
  return {
    name = 'sample_text',
    on_epoch = o.every_epochs > 0 and function(ctx, record)
      if record.epoch % o.every_epochs == 0 then sample(ctx, ('sample after epoch %d'):format(record.epoch)) end
    end or nil,
    on_end = function(ctx) sample(ctx, 'sample') end,
  }
end
