-- runner attach RUN: a prompt inside a running training.
local client = require 'attach.client'
local run_select = require 'runs.select'

local attach = { summary = 'Open a prompt inside a running training.' }

function attach.configure(parser)
  parser:argument 'run':args '?':description
    "A run directory, a run id or its beginning, an experiment (its newest run), or 'latest' (the default)."
  parser:option '-e':argname 'CODE':count '*':target 'code':description 'Run CODE there and leave.'
  parser:epilog('Lines run between two updates: fit.lr = 1e-3, fit:eval(), fit:sample(), fit:save(), fit:pause(), '
    .. 'fit:continue(), fit:stop(), model.head.weight. What changes the training is written into its run.')
end

function attach.run(args)
  return client.attach(run_select.one(args.run or 'latest'), args.code)
end

return attach
