-- Text in HTML: nothing that a run holds becomes markup or a script.
local dkjson = require 'dkjson'
local host = require 'host'

local html = {}

local ENTITIES = { ['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ['"'] = '&quot;', ["'"] = '&#39;' }

---@param value any
---@return string
function html.text(value)
  local safe = tostring(value):gsub('[%z\1-\8\11\12\14-\31]', '\239\191\189') -- characters that HTML does not have
  return (safe:gsub('[&<>"\']', ENTITIES))
end

---A value as JSON that may stand in a script element.
---@param value any
---@return string
function html.json(value)
  return (dkjson.encode(value):gsub('<', '\\u003c'):gsub('\226\128[\168\169]', { ['\226\128\168'] = '\\u2028',
    ['\226\128\169'] = '\\u2029' }))
end

---A table; columns whose cells are all numbers or empty stand to the right.
---@param caption string
---@param head string[]
---@param rows any[][]
---@return string
function html.table(caption, head, rows)
  local is_number = {}
  for i in ipairs(head) do
    is_number[i] = #rows > 0
    for _, row in ipairs(rows) do
      local text = tostring(row[i] or '')
      is_number[i] = is_number[i] and (text == '' or text == 'NA' or tonumber((text:gsub(',', ''))) ~= nil)
    end
  end
  local function cells(row, tag)
    local out = {}
    for i in ipairs(head) do
      local class = is_number[i] and ' class="number"' or ''
      out[i] = ('<%s%s%s>%s</%s>'):format(tag, tag == 'th' and ' scope="col"' or '', class, html.text(row[i] or ''),
        tag)
    end
    return '<tr>' .. table.concat(out) .. '</tr>'
  end
  local lines = {}
  for i, row in ipairs(rows) do lines[i] = cells(row, 'td') end
  return ('<div class="scroll" tabindex="0" role="region" aria-label="%s"><table><thead>%s</thead><tbody>%s</tbody>'
    .. '</table></div>'):format(html.text(caption), cells(head, 'th'), table.concat(lines, '\n'))
end

local DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

-- Bytes of a hexadecimal text in base 64.
local function base64(hex)
  local bits = hex:gsub('%x', function(digit)
    local value, text = tonumber(digit, 16), ''
    for bit = 3, 0, -1 do text = text .. (math.floor(value / 2 ^ bit) % 2) end
    return text
  end)
  local padded = bits .. ('0'):rep(-#bits % 6)
  local text = padded:gsub('%d%d%d%d%d%d', function(six)
    local at = tonumber(six, 2) + 1
    return DIGITS:sub(at, at)
  end)
  return text .. ('='):rep(-#text % 4)
end

---What a Content-Security-Policy calls a script that the page has inside.
---@param script string
---@return string
function html.script_hash(script) return ("'sha256-%s'"):format(base64(host.sha256(script))) end

return html
