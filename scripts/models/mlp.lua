-- mlp: Linear layers with ReLU or tanh between them. in: rows (N, inputs), or of more dimensions; out: (N, outputs).
-- State-dict names fc1.*, fc2.* ..., head.*.
local fail = require 'fail'
local model = require 'model'
local nn = require 'nn'

return model.define {
  name = 'models.mlp',
  args = { inputs = 'int', outputs = 'int', hidden = { 'list', { 256, 256 } },
    activation = { 'string', 'relu', one_of = { 'relu', 'tanh' } } },
  build = function(a)
    local layers, width = {}, a.inputs
    for i, hidden in ipairs(a.hidden) do
      if type(hidden) ~= 'number' or hidden < 1 or hidden % 1 ~= 0 then
        fail.config('models.mlp: hidden[%d] is %s, expected a number of units', i, tostring(hidden))
      end
      layers[#layers + 1] = { 'fc' .. i, nn.Linear { width, hidden } }
      layers[#layers + 1] = { a.activation .. i, a.activation == 'tanh' and nn.Tanh() or nn.ReLU() }
      width = hidden
    end
    layers[#layers + 1] = { 'head', nn.Linear { width, a.outputs } }
    return nn.Sequential(layers)
  end,
}
