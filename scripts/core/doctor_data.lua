-- What `runner doctor` finds out about data: the known corpora, where they lie, and whether they are what they should be.
local corpora = require 'corpora'
local host = require 'host'

local doctor_data = {}

local function check_corpus(finding, name, context)
  local corpus = corpora.known[name]
  local path, wanted = corpora.locate(name)
  local row = { path = path, found = path ~= nil }
  finding.data.corpora[name] = row
  local function problem(text, fix)
    finding.mark = 'warn'
    finding.text[#finding.text + 1], finding.fix[#finding.fix + 1] = text, fix
  end
  if not path and not corpus.url then
    finding.text[#finding.text + 1] = ('%s: not here, and nothing to download; only experiments on several texts want it'):format(name)
    return
  end
  if not path then
    return problem(name .. ': not here; a run would download it', ("curl -fsSL --create-dirs -o '%s' '%s'"):format(wanted, corpus.url))
  end
  row.sha256_ok = context.sha256(path) == corpus.sha256
  if not row.sha256_ok then
    return problem(("%s: '%s' has another checksum; a run would refuse it"):format(name, path), ("rm '%s'"):format(path))
  end
  finding.text[#finding.text + 1] = ('%s: %s'):format(name, path)
end

---The corpora of corpora.lua, and RUNNER_DATA_DIR.
function doctor_data.data(context)
  local given = host.getenv 'RUNNER_DATA_DIR'
  given = given ~= '' and given or nil
  local finding = { mark = 'ok', text = {}, fix = {}, data = { data_dir = given, corpora = {} } }
  if given and (host.stat(given) or {}).type ~= 'dir' then
    finding.mark = 'warn'
    finding.text[1], finding.fix[1] = ("RUNNER_DATA_DIR='%s' is no folder"):format(given), 'unset RUNNER_DATA_DIR'
  else
    finding.text[1] = 'RUNNER_DATA_DIR ' .. (given and given or 'not set')
  end
  local names = {}
  for name in pairs(corpora.known) do names[#names + 1] = name end
  table.sort(names)
  for _, name in ipairs(names) do check_corpus(finding, name, context) end
  return finding
end

return doctor_data
