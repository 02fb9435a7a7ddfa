-- Sources of Python's standard library as one text, from Debian's packages of Python 3.11: every .py file that is
-- ASCII and has at most 200,000 bytes, in the order of its path, until the text is long enough.
--
-- The text was the same in 3.11.2-6+deb12u6, u8 and u9 on amd64. It ends within asyncio/windows_events.py, so only a
-- security update of a file that comes before can change it; and another architecture, whose _sysconfigdata__*.py
-- says how that one was built.
local host = require 'host'
local read_file = require 'base.read_file'

-- folder: where the packages have the library.
local python_text = { folder = '/usr/lib/python3.11' }

local LARGEST = 200000

-- The contents of the Python files below a folder, in order, to a function that returns true when it has enough.
local function each_source(folder, take)
  for _, name in ipairs(host.listdir(folder) or {}) do
    local path = folder .. '/' .. name
    local info = host.stat(path) or {} -- of the file that a link means: a link within the library counts like a file
    if info.type == 'dir' then
      if each_source(path, take) then return true end
    elseif name:sub(-3) == '.py' and info.type == 'file' and info.size <= LARGEST then
      local text = assert(read_file(path))
      if not text:find '[\128-\255]' and take(text) then return true end
    end
  end
  return false
end

---The corpus python_code from unpacked packages. Raises a text that says what is wrong with them.
---@param root string the folder they were unpacked into
---@param bytes integer
---@return string
function python_text.build(root, bytes)
  local parts, have = {}, 0
  each_source(root .. python_text.folder, function(text)
    parts[#parts + 1], have = text, have + #text
    return have >= bytes
  end)
  if have < bytes then
    error(('%s holds %d bytes of sources, expected at least %d'):format(python_text.folder, have, bytes), 0)
  end
  return table.concat(parts):sub(1, bytes)
end

return python_text
