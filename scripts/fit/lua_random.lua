-- The state of math.random as text, so that a resumed script draws the same numbers. LuaJIT keeps it in an upvalue of
-- the function: four 64-bit words of a Tausworthe generator.
local lua_random = {}

local WORDS = 4

local function words()
  local _, holder = debug.getupvalue(math.random, 1)
  if type(holder) ~= 'userdata' then return nil end
  return require('ffi').cast('uint64_t *', holder)
end

---The state; nil where this LuaJIT keeps it elsewhere.
---@return string?
function lua_random.get()
  local state = words()
  if not state then return nil end
  local texts = {}
  for i = 0, WORDS - 1 do texts[i + 1] = bit.tohex(state[i], 16) end
  return table.concat(texts)
end

---Puts a state back.
---@param text string as get() gave it
function lua_random.set(text)
  local state = words()
  if not state or #text ~= 16 * WORDS then return end
  local ffi = require 'ffi'
  for i = 0, WORDS - 1 do
    local high, low = text:sub(16 * i + 1, 16 * i + 8), text:sub(16 * i + 9, 16 * i + 16)
    state[i] = ffi.cast('uint64_t', tonumber(high, 16)) * 4294967296ULL + ffi.cast('uint64_t', tonumber(low, 16))
  end
end

return lua_random
