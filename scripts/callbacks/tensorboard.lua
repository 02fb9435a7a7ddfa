-- tensorboard: writes every metrics line of the run into a TensorBoard event file as well, natively, while training
-- goes on. View it with `tensorboard --logdir results`.
local callbacks = require 'fit.callbacks'

return callbacks.define { name = 'tensorboard', args = {}, build = function()
  return {
    on_start = function(ctx) ctx.print(('%-10s%s'):format('events', ctx.run:write_tensorboard():match('[^/]*$'))) end,
  }
end }
