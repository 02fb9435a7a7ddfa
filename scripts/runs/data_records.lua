-- What a manifest says of the data of a run: a record for each file, with its checksum, vocabulary and numbers of rows.
local data_records = {}

local function short(sha256) return tostring(sha256):sub(1, 19) end

---How the data of now differ from those a run recorded; nil when they do not, or when nothing was recorded. Files may
---lie elsewhere, their bytes are the same.
---@param before table[]?
---@param now table[]?
---@return string?
function data_records.difference(before, now)
  if not before or not now then return nil end
  if #before ~= #now then return ('%d files, the run has %d'):format(#now, #before) end
  for i, was in ipairs(before) do
    local is = now[i]
    if was.sha256 ~= is.sha256 then
      return ("'%s' is %s (%s bytes), the run has %s (%s bytes)"):format(is.name, short(is.sha256), tostring(is.bytes),
        short(was.sha256), tostring(was.bytes))
    end
  end
  for i, was in ipairs(before) do
    local is = now[i]
    for _, key in ipairs { 'vocab_size', 'vocab_sha256', 'train_n', 'val_n' } do
      if was[key] and is[key] and was[key] ~= is[key] then
        return ("'%s': %s is %s, the run has %s"):format(is.name, key, short(is[key]), short(was[key]))
      end
    end
  end
  return nil
end

return data_records
