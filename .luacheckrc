-- `luacheck scripts experiments tests` must be clean.
std = 'luajit'
max_line_length = 140
files['scripts'] = { max_line_length = 120 }
exclude_files = { 'scripts/meta', 'build' }
files['tests'] = { max_line_length = 120 }
files['experiments'] = { max_line_length = 120 }
files['scripts/testing'] = { max_line_length = 120 }
-- These files replace or extend globals on purpose.
files['scripts/boot/sources.lua'] = { globals = { '_G' } }
files['scripts/cli/command_line.lua'] = { globals = { 'os.exit' } }
files['scripts/boot/modules.lua'] = { globals = { 'package.loaders' } }
