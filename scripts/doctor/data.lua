-- The known corpora, where they lie, and whether they are what they should be; and RUNNER_DATA_DIR.
local corpora = require 'corpus.registry'
local finding = require 'base.finding'
local host = require 'host'
local shell = require 'base.shell'

local function check_corpus(found, name, context)
  local state = corpora.state(name, context.sha256)
  found.data.corpora[name] = { path = state.path, found = state.here, sha256_ok = state.ok, versions = state.versions }
  if not state.here then
    return found:problem('warn', ('%s: not here; a run would bring it (%s)'):format(name, state.origin),
      'runner data fetch ' .. name)
  end
  if not state.ok then
    return found:problem('warn', ("%s: '%s' has another checksum; a run would refuse it"):format(name, state.path),
      'rm ' .. shell.quote(state.path))
  end
  local other = state.versions and (', not the pinned text but that of %s'):format(state.versions) or ''
  found.text[#found.text + 1] = ('%s: %s%s'):format(name, state.path, other)
end

return { place = 5, look = function(context)
  local given = corpora.given_folder()
  local found = finding.new({}, { data_dir = given, corpora = {} })
  if given and (host.stat(given) or {}).type ~= 'dir' then
    found:problem('warn', ("RUNNER_DATA_DIR='%s' is not a folder"):format(given), 'unset RUNNER_DATA_DIR')
  else
    found.text[1] = 'RUNNER_DATA_DIR ' .. (given or 'not set')
  end
  for _, name in ipairs(corpora.names()) do check_corpus(found, name, context) end
  return found
end }
