-- All bytes of a file.

---@param path string
---@return string? text nil when it cannot be read
---@return string? message
return function(path)
  local file, message = io.open(path, 'rb')
  if not file then return nil, message end
  local text, problem = file:read '*a' -- nil for a folder
  file:close()
  return text, problem and ('%s: %s'):format(path, problem)
end
