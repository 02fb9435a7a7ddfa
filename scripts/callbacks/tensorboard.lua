-- tensorboard: writes every metrics line of the run into a TensorBoard event file as well, natively, while training goes on. View it
-- with `tensorboard --logdir results`.
local options = require 'options'

return function(given)
  options.check('callback tensorboard', given, {})
  return {
    name = 'tensorboard',
    on_start = function(ctx) ctx.print(('%-10s%s'):format('events', ctx.run:write_tensorboard():match('[^/]*$'))) end,
  }
end
