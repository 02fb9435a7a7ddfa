-- local: processes of this machine, several at once.
return { summary = 'processes of this machine', run = require('sweep.pool').run }
