-- Loading of Lua source text. Bytecode can crash the virtual machine and cannot be read by people, so every way to
-- load a chunk refuses it: load, loadstring, loadfile, dofile and (through read) require.
local sources = {}

local raw_load = load
local ESCAPE = 27 -- the first byte of LuaJIT bytecode

-- Files loaded from outside the binary, in order: { path =, text = }. The run directory keeps a copy of each.
sources.files = {}

---Compiles source text.
---@param text string
---@param chunkname string as in loadstring: "@path", "=label" or the text itself
---@param shown string how messages name the chunk
---@param ... table? environment, only when given
---@return function?, string? message
function sources.compile(text, chunkname, shown, ...)
  if text:byte(1) == ESCAPE then
    return nil, ("script '%s': is LuaJIT bytecode; give the runner source text"):format(shown)
  end
  return raw_load(text, chunkname, 't', ...)
end

local function read_file(path)
  local file, message = io.open(path, 'rb')
  if not file then return nil, message end
  local text
  text, message = file:read('*a') -- nil for a folder
  file:close()
  return text, message and ('%s: %s'):format(path, message)
end

---Reads and compiles a Lua file from outside the binary and remembers its source.
---@param path string? stdin when nil
---@param ... table? environment, only when given
---@return function?, string? message
function sources.read(path, ...)
  local text, message
  if path then
    text, message = read_file(path)
  else
    text = io.read('*a')
  end
  if not text then return nil, message end
  sources.files[#sources.files + 1] = { path = path or 'stdin', text = text }
  local source = text:gsub('^#[^\n]*', '--', 1) -- a first line such as #!/usr/bin/env runner
  return sources.compile(source, path and '@' .. path or '=stdin', path or 'stdin', ...)
end

local function shown_name(chunkname, text)
  local name = chunkname or text:match('^[^\n]*')
  return (name:gsub('^[@=]', ''):gsub('%c.*', '...'))
end

-- load also takes a function that returns pieces.
local function join_pieces(reader)
  local pieces = {}
  for piece in reader do
    if piece == '' then break end
    pieces[#pieces + 1] = piece
  end
  return table.concat(pieces)
end

local function checked_load(chunk, chunkname, mode, ...)
  if mode == 'b' then return nil, 'bytecode cannot be loaded; give the runner source text' end
  local text = type(chunk) == 'function' and join_pieces(chunk) or chunk
  if type(text) ~= 'string' then error(("load: expected text or a function, got %s"):format(type(chunk)), 2) end
  local name = chunkname or (type(chunk) == 'function' and '=(load)' or text)
  return sources.compile(text, name, shown_name(chunkname, text), ...)
end

---Replaces the global loaders.
function sources.install()
  _G.load = checked_load
  _G.loadstring = function(text, chunkname) return checked_load(text, chunkname) end
  _G.loadfile = function(path, mode, ...)
    if mode == 'b' then return nil, 'bytecode cannot be loaded; give the runner source text' end
    return sources.read(path, ...)
  end
  _G.dofile = function(path)
    local chunk, message = sources.read(path)
    if not chunk then error(message, 2) end
    return chunk()
  end
end

return sources
