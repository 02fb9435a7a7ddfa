-- Reads TensorBoard event files by the format's description alone: framing, CRC-32C and protobuf's wire format, bit by
-- bit. It shares no code with the writer.
--   local events = require 'testing.event_file'.read(path)
--   events[1].file_version, events[2].session_log, events[3].step, events[3].wall_time, events[3].scalars['train/loss']
local bit = require 'bit'
local ffi = require 'ffi'
local fail = require 'fail'
local read_file = require 'base.read_file'

local event_file = {}

-- The reflected Castagnoli polynomial, one bit at a time.
---@param bytes string
---@return integer crc 0 to 2^32 - 1
function event_file.crc32c(bytes)
  local crc = bit.tobit(0xffffffff)
  for i = 1, #bytes do
    crc = bit.bxor(crc, bytes:byte(i))
    for _ = 1, 8 do
      local low = bit.band(crc, 1)
      crc = bit.rshift(crc, 1)
      if low == 1 then crc = bit.bxor(crc, bit.tobit(0x82f63b78)) end
    end
  end
  return bit.bnot(crc) % 2 ^ 32
end

---@param bytes string
---@return integer
function event_file.masked_crc32c(bytes)
  local crc = event_file.crc32c(bytes)
  local rotated = math.floor(crc / 2 ^ 15) + crc % 2 ^ 15 * 2 ^ 17
  return (rotated + 0xa282ead8) % 2 ^ 32
end

local function little_endian(bytes)
  local value = 0
  for i = #bytes, 1, -1 do value = value * 256 + bytes:byte(i) end
  return value
end

-- Reads a C value of this type from its bytes.
local function as(ctype, bytes)
  local value = ffi.new(ctype .. '[1]')
  ffi.copy(value, bytes, #bytes)
  return value[0]
end

local function varint(text, at)
  local value, scale = 0, 1
  while true do
    local byte = text:byte(at)
    value, scale, at = value + byte % 128 * scale, scale * 128, at + 1
    if byte < 128 then return value, at end
  end
end

-- Calls f(field, value) for each field of a message: numbers for varints, bytes for everything else.
local function fields(text, f)
  local at = 1
  while at <= #text do
    local key, value
    key, at = varint(text, at)
    local wire = key % 8
    local size = wire == 1 and 8 or wire == 5 and 4 or nil
    if wire == 2 then size, at = varint(text, at) end
    if wire == 0 then
      value, at = varint(text, at)
    elseif size then
      value, at = text:sub(at, at + size - 1), at + size
    else
      fail.data('event file: wire type %d', wire)
    end
    f(math.floor(key / 8), value)
  end
  return at == #text + 1 or fail.data('event file: a message is cut short')
end

local function read_scalar(text, scalars)
  local tag, value
  fields(text, function(field, given)
    if field == 1 then tag = given elseif field == 2 then value = as('float', given) end
  end)
  scalars[tag] = value
end

local function read_event(text)
  local event = { wall_time = 0, step = 0 } -- protobuf leaves out what is 0
  fields(text, function(field, value)
    if field == 1 then event.wall_time = as('double', value) end
    if field == 2 then event.step = value end
    if field == 3 then event.file_version = value end
    if field == 5 then
      event.scalars = event.scalars or {}
      fields(value, function(_, scalar) read_scalar(scalar, event.scalars) end)
    end
    if field == 7 then fields(value, function(_, status) event.session_log = status end) end
  end)
  return event
end

---All events of a file. Raises for a wrong checksum or a record that is cut short.
---@param path string
---@return table[] events `wall_time`, `step`, and where they are there `file_version`, `scalars`, `session_log`
function event_file.read(path)
  local text = assert(read_file(path))
  local events, at = {}, 1
  while at <= #text do
    local header = text:sub(at, at + 7)
    local size = little_endian(header)
    local data = text:sub(at + 12, at + 11 + size)
    local ok = #data == size and little_endian(text:sub(at + 8, at + 11)) == event_file.masked_crc32c(header)
      and little_endian(text:sub(at + 12 + size, at + 15 + size)) == event_file.masked_crc32c(data)
    if not ok then fail.data("'%s': record %d has a wrong checksum or is cut short", path, #events + 1) end
    events[#events + 1] = read_event(data)
    at = at + size + 16
  end
  return events
end

return event_file
