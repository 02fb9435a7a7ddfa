-- The table `torch`: every LibTorch operator, and what tensors need beside them. Loading it loads LibTorch.
local experiment = require 'experiment'

local torch = require('lanthorn').torch

-- One seed is one model: layers draw their initial values from this generator, in the order they are made.
experiment.when_seeded(torch.manual_seed)

return torch
