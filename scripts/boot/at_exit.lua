-- Work for the end of a command: closing a run, a test summary. Functions are called once, the last added first.
local traceback = require 'boot.traceback'

local at_exit = {}

local pending = {}

---Calls f(code, how) when the command ends; a number it returns replaces the exit code. how: "os.exit" where a script
---ended it so.
---@param f fun(code: integer, how: string?): integer?
function at_exit.add(f)
  pending[#pending + 1] = f
end

---Runs what is pending.
---@param code integer
---@param how string? "os.exit"
---@return integer code
function at_exit.run(code, how)
  while #pending > 0 do
    local ok, result = traceback.call(table.remove(pending), code, how)
    if not ok then
      traceback.report(result)
      code = code ~= 0 and code or result.code
    elseif result then
      code = result
    end
  end
  return code
end

return at_exit
