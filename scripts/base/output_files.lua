-- Files that a command makes outside of run directories: folders made as needed, nothing overwritten unasked, each
-- file whole or absent.
local fail = require 'fail'
local files = require 'files'
local host = require 'host'

local output_files = {}

local NOT_WRITABLE = 9 -- the machine refuses

---Makes a folder and its parents.
---@param path string
function output_files.make_folder(path)
  local made, message, in_the_way = files.make_folder(path)
  if in_the_way then fail.usage('%s; choose another --out', message) end
  if not made then fail.raise(NOT_WRITABLE, 'cannot make the folder %s; choose another --out', message) end
end

---Raises (exit 2) when the path exists and may not be replaced.
---@param path string
---@param force boolean?
function output_files.check_free(path, force)
  if not force and host.stat(path, true) then
    fail.usage("'%s' exists; choose another folder with --out, or replace it with --force", path)
  end
end

---Removes a file, a link or a folder with all it holds; nothing happens when there is none.
---@param path string
function output_files.remove(path)
  local info = host.stat(path, true)
  if not info then return end
  if info.type == 'dir' then
    for _, name in ipairs(host.listdir(path) or {}) do output_files.remove(path .. '/' .. name) end
  end
  local ok, message = os.remove(path)
  if not ok then fail.raise(NOT_WRITABLE, 'cannot remove %s', message) end
end

local function checked(path, ok, message)
  if not ok then fail.raise(NOT_WRITABLE, "'%s': cannot write: %s", path, tostring(message)) end
end

---Gives a file its final name, over whatever has it.
---@param from string
---@param path string
function output_files.rename(from, path)
  checked(path, os.rename(from, path))
end

---Writes a file through fill(write), which may call write(text) any number of times. A reader sees all of it or
---nothing.
---@param path string
---@param fill fun(write: fun(text: string))
function output_files.write(path, fill)
  local file, message = io.open(path .. '.tmp', 'wb')
  checked(path, file, message)
  fill(function(text) checked(path, file:write(text)) end)
  checked(path, file:close())
  output_files.rename(path .. '.tmp', path)
end

---Adds text to the end of a file that no reader looks at yet.
---@param path string
---@param text string
function output_files.append(path, text)
  local file, message = io.open(path, 'ab')
  checked(path, file, message)
  checked(path, file:write(text))
  checked(path, file:close())
end

---Writes a text.
---@param path string
---@param text string
function output_files.write_text(path, text)
  output_files.write(path, function(write) write(text) end)
end

return output_files
