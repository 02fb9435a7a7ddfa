-- What `runner doctor` finds out about data: the known corpora, where they lie, and whether they are what they should be.
local corpora = require 'corpus.registry'
local host = require 'host'

local doctor_data = {}

local function check_corpus(finding, name, context)
  local state = corpora.state(name, context.sha256)
  finding.data.corpora[name] = { path = state.path, found = state.here, sha256_ok = state.ok, versions = state.versions }
  local text, fix
  if not state.here then
    text, fix = ('%s: not here; a run would bring it (%s)'):format(name, state.origin), 'runner data fetch ' .. name
  elseif not state.ok then
    text, fix = ("%s: '%s' has another checksum; a run would refuse it"):format(name, state.path), ("rm '%s'"):format(state.path)
  elseif state.versions then
    text = ('%s: %s, not the pinned text but that of %s'):format(name, state.path, state.versions)
  else
    text = ('%s: %s'):format(name, state.path)
  end
  if fix then finding.mark = 'warn' end
  finding.text[#finding.text + 1], finding.fix[#finding.fix + 1] = text, fix
end

---The corpora of corpus/registry.lua, and RUNNER_DATA_DIR.
function doctor_data.data(context)
  local given = corpora.given_folder()
  local finding = { mark = 'ok', text = {}, fix = {}, data = { data_dir = given, corpora = {} } }
  if given and (host.stat(given) or {}).type ~= 'dir' then
    finding.mark = 'warn'
    finding.text[1], finding.fix[1] = ("RUNNER_DATA_DIR='%s' is not a folder"):format(given), 'unset RUNNER_DATA_DIR'
  else
    finding.text[1] = 'RUNNER_DATA_DIR ' .. (given or 'not set')
  end
  for _, name in ipairs(corpora.names()) do check_corpus(finding, name, context) end
  return finding
end

return doctor_data
