-- runner blas-test: says which core OpenBLAS takes in this process, and whether it computes right. blas/core.lua
-- starts it.
local blas_test_command = { summary = 'Test the products of OpenBLAS (started by the runner itself).', hidden = true }

function blas_test_command.configure() end

function blas_test_command.run()
  local core, fault = require('blas.self_test').run()
  print('core ' .. core)
  print(fault or 'right')
  return fault and 1 or 0
end

return blas_test_command
