-- Whether C++ exceptions and Lua errors pass each other's frames.
local finding = require 'base.finding'

return { place = 11, look = function(context)
  local tests, failed = context.diagnostics.exceptions(), {}
  for _, test in ipairs(tests) do
    if not test.ok then failed[#failed + 1] = ('%s: got %s'):format(test.name, test.got) end
  end
  local found = finding.new({ ('self-test: %d of %d'):format(#tests - #failed, #tests) }, { tests = tests })
  for _, text in ipairs(failed) do
    found:problem('FAIL', text,
      'apt-get install --reinstall libluajit-5.1-2 && cmake --build --preset release --clean-first')
  end
  return found
end }
