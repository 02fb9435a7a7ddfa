-- `luacheck scripts experiments tests` must be clean.
std = 'luajit'
max_line_length = 140
exclude_files = { 'scripts/meta', 'build' }
-- These files replace or extend globals on purpose.
files['scripts/core/chunks.lua'] = { globals = { '_G' } }
files['scripts/core/cli.lua'] = { globals = { 'os.exit' } }
files['scripts/core/modules.lua'] = { globals = { 'package.loaders' } }
