-- runner version: what this binary is made of, without loading the native module.
local console = require 'console'
local host = require 'host'

return {
  summary = 'Print the version.',
  run = function()
    console.write(('lanthorn %s (%s, %s %s)\n'):format(host.version(), jit.version, jit.os, jit.arch))
    return 0
  end,
}
