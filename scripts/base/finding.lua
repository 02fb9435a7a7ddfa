-- What a check of `runner doctor` found: { mark = "ok" | "warn" | "FAIL" | "none", text = lines, fix = commands that
-- mend it, data = for --json }.
local finding = {}
finding.__index = finding

---A finding without a problem.
---@param text string[]
---@param data table
---@return table
function finding.new(text, data)
  return setmetatable({ mark = 'ok', text = text, fix = {}, data = data }, finding)
end

---Adds a problem with the command that mends it; the worst one is the mark.
---@param mark "warn"|"FAIL"
---@param text string
---@param fix? string
function finding:problem(mark, text, fix)
  if self.mark ~= 'FAIL' then self.mark = mark end
  self.text[#self.text + 1] = text
  for _, known in ipairs(self.fix) do
    if known == fix then return end
  end
  self.fix[#self.fix + 1] = fix
end

---Bytes as text: "21.5 GiB".
---@param bytes number
---@return string
function finding.size(bytes)
  if bytes >= 2 ^ 30 then return ('%.1f GiB'):format(bytes / 2 ^ 30) end
  return ('%.0f MiB'):format(bytes / 2 ^ 20)
end

return finding
