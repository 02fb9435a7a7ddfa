-- The folder that a resumed run works in: where it began, or where its project is now. A project that was moved or
-- copied takes its runs along, and none of them goes on with the script and the data of the old place.
local fail = require 'fail'
local host = require 'host'

-- The results folder that the run was written to, as it was given.
local function results_of(manifest)
  local env = type(manifest.env) == 'table' and manifest.env or {}
  return env.RUNNER_RESULTS_DIR or 'results'
end

-- Where the project stands that the run is in now; nil when only the run was moved, or its results were kept elsewhere.
local function project_of(path, manifest)
  local results = results_of(manifest):gsub('^%./', ''):gsub('/+$', '')
  if results:sub(1, 1) == '/' then return nil end
  local inside = ('/%s/%s/%s'):format(results, manifest.experiment, manifest.run_id)
  local folder = path:sub(1, -#inside - 1)
  return folder ~= '' and path:sub(-#inside) == inside and folder or nil
end

-- The script of the command.
local function script_of(argv)
  for _, word in ipairs(argv or {}) do
    if word:find '%.lua$' then return word end
  end
  return 'SCRIPT'
end

---The folder to work in. Raises (exit 3) where the run cannot go on from there, with what to do.
---@param path string the run's folder, without links
---@param manifest table
---@return string
return function(path, manifest)
  local began = manifest.cwd
  local project = project_of(path, manifest)
  local script = script_of(manifest.argv)
  if not project or project == host.realpath(began) then
    if host.stat(began) then return began end
    fail.config("run '%s' was started in '%s', which is not there; to go on elsewhere, start its script there: cd "
      .. "FOLDER && RUNNER_RESULTS_DIR=%s runner %s train.resume=auto", path, began,
      path:match '^(.*)/[^/]+/[^/]+$', script)
  end
  if script:sub(1, #began + 1) == began .. '/' then
    fail.config("run '%s' is in a project that was moved or copied, and it began with '%s' of the old place; to go on "
      .. "here: cd %s && runner %s train.resume=auto", path, script, project, script:sub(#began + 2))
  end
  return project
end
