-- A PostgreSQL server for tests: Debian's, in a folder of its own, as an ordinary user, ended with the script. Servers
-- that the machine may have are not touched.
--   local server = require 'testing.postgres'.start()
--   server.url            for RUNNER_STUDY_URL; holds server.password, of which no file knows
--   server:sql 'SELECT 1' the rows, as psql prints them
--   server:stop(), server:begin(); server:freeze(), server:thaw()
local at_exit = require 'boot.at_exit'
local host = require 'host'
local testing = require 'testing'

local postgres = {}

local PORTS = 5
local FIND = 'ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1'

local Server = {}
Server.__index = Server

---What is missing for a server; nil when nothing is.
---@return string?
function postgres.missing()
  if testing.shell(FIND):find '%S' then return nil end
  return 'there is no PostgreSQL; scripts/setup --tests installs it'
end

-- A command as the user that the server is of: it refuses to be root.
function Server:call(command)
  return testing.shell(('%s env PATH=%s:$PATH %s'):format(self.as, self.programs, command))
end

local function checked(output, code)
  if code ~= 0 then error('no PostgreSQL: ' .. output, 0) end
end

function Server:begin()
  return self:call(('pg_ctl -D %s/data -l %s/log -w -o %s start'):format(self.folder, self.folder,
    testing.quote(('-p %d -k %s -c listen_addresses=127.0.0.1 -c fsync=off'):format(self.port, self.folder))))
end

---Ends it at once, with all its connections.
function Server:stop()
  self:call(('pg_ctl -D %s/data -m immediate -w stop'):format(self.folder))
end

local function signal(self, name)
  testing.shell(('p=$(head -n 1 %s/data/postmaster.pid) && kill -%s $p $(pgrep -P $p)'):format(self.folder, name))
end

---It keeps its connections and answers nothing.
function Server:freeze() signal(self, 'STOP') end

function Server:thaw() signal(self, 'CONT') end

---@param text string
---@return string rows
function Server:sql(text)
  local output, code = testing.shell(('%s/psql -X -q -t -A -v ON_ERROR_STOP=1 -d %s -c %s'):format(self.programs,
    testing.quote(self.url), testing.quote(text)))
  checked(output, code)
  return (output:gsub('%s+$', ''))
end

---Starts a server.
---@return table
function postgres.start()
  local folder = testing.temporary_folder()
  local is_root = testing.shell('id -u'):match '%d+' == '0'
  local server = setmetatable({ folder = folder, programs = testing.shell(FIND):match '%S+',
    as = is_root and 'setpriv --reuid=postgres --regid=postgres --clear-groups' or '',
    password = host.sha256(folder):sub(1, 12) }, Server)
  testing.shell(('chmod 755 %s%s'):format(folder, is_root and '; chown postgres ' .. folder or ''))
  checked(server:call(('initdb -D %s/data -A trust -U lanthorn --no-sync'):format(folder)))
  local output, code
  for i = 0, PORTS - 1 do -- somebody may have the first
    server.port = 20000 + (host.pid() * 4 + 2 + i * 997) % 20000
    output, code = server:begin()
    if code == 0 then break end
  end
  checked(output, code)
  server.url = ('postgresql://lanthorn:%s@127.0.0.1:%d/postgres'):format(server.password, server.port)
  at_exit.add(function()
    server:thaw()
    server:stop()
  end)
  return server
end

return postgres
