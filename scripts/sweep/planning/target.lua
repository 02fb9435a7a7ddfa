-- The experiment that a sweep varies: its script is run up to its experiment.config, which says what there is to vary.
-- A sweep script ends before that: what it returns names the experiment.
local experiment = require 'experiment'
local host = require 'host'
local modules = require 'boot.modules'
local script_file = require 'cli.script_file'
local source_texts = require 'runs.source_texts'
local sources = require 'boot.sources'

local target = {}

-- What a script says of itself before it trains: the tree of its config, or what it returns.
local function run_head(path, setup, rest)
  local tree
  setup.flags.when_configured = function(made)
    tree = made
    experiment.leave()
  end
  experiment.setup(setup)
  _G.arg = { [0] = path, unpack(rest) }
  modules.script_folder = host.realpath(path):match '^(.*)/'
  local chunk, message = sources.read(path)
  if not chunk then error(message, 0) end
  local ok, result = pcall(chunk, unpack(rest))
  if not ok and not experiment.is_dry_run_end(result) then error(result, 0) end
  return tree, result
end

---Reads a script that may be a sweep script. A fresh process calls it once, or once for a sweep script and once for
---its experiment.
---@param path string
---@param whose string what messages call it
---@param overrides string[] for all cells
---@param flags table of run_options.flags
---@param argv string[]
---@param rest string[] the script's own arguments
---@return { path: string, name: string, tree: table?, returned: any, texts: table<string, string>,
---source_hash: string }
function target.read(path, whose, overrides, flags, argv, rest)
  script_file.check(path, whose)
  local before = #sources.files
  local with = { quiet = flags.quiet, short = flags.short, fast_dev_run = flags.fast_dev_run }
  local tree, returned = run_head(path, { script = path, overrides = overrides, argv = argv, flags = with }, rest)
  local files = { unpack(sources.files, before + 1) }
  local texts = source_texts.by_name(files)
  return { path = path, name = path:match '([^/]*)$':gsub('%.lua$', ''), tree = tree, returned = returned,
    texts = texts, source_hash = source_texts.hash(texts) }
end

return target
