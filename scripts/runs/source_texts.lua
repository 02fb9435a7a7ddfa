-- The script and its modules as they are kept beside what they computed.
local host = require 'host'

local source_texts = {}

---Texts by names that are relative and different.
---@param files { path: string?, text: string }[] of boot.sources
---@return table<string, string>
function source_texts.by_name(files)
  local used = {}
  for _, file in ipairs(files) do
    local base = (file.path or 'chunk'):match('[^/]*$'):gsub('[^%w._-]', '_')
    if base == '' or base:sub(1, 1) == '.' then base = 'chunk' .. base end
    local name, n = base, 1
    while used[name] and used[name] ~= file.text do
      n = n + 1
      name = ('%d-%s'):format(n, base)
    end
    used[name] = file.text
  end
  return used
end

---The sha256 of what `sha256sum` prints for these files, sorted by name (engine/run/README.md, src/).
---@param texts table<string, string>
---@return string "sha256:" and 64 hex digits
function source_texts.hash(texts)
  local names, lines = {}, {}
  for name in pairs(texts) do names[#names + 1] = name end
  table.sort(names)
  for i, name in ipairs(names) do lines[i] = ('%s  %s\n'):format(host.sha256(texts[name]), name) end
  return 'sha256:' .. host.sha256(table.concat(lines))
end

return source_texts
