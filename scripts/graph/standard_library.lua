-- The sources of Python's standard library as a folder, for a machine that has no Python project to look at.
--
-- They are always those of Debian's packages of Python 3.11, the ones of the corpus python_code, unpacked into the
-- cache without root; never those of the Python that is installed, of which every machine may have another version.
-- Security updates change some of the files all the same: their checksum is pinned, and other ones are told.
--
-- Layout: CACHE/python3.11/lib holds the .py files, CACHE/python3.11/made.json the packages' versions and the checksum.
local console = require 'console'
local corpora = require 'corpus.registry'
local debian_package = require 'corpus.debian_package'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local json = require 'json'
local python_files = require 'graph.python_files'
local python_text = require 'corpus.python_text'
local shell = require 'base.shell'
local work_folder = require 'corpus.work_folder'

local standard_library = {}

local DATA = 4
-- What is kept: no links, which lead to places of the machine, nor the files that say how an architecture was built.
local OTHERS = [[find %s ! -type d \( ! -type f -o ! -name '*.py' -o -name '_sysconfigdata_*' \) -delete]]

-- The checksum of 3.11.2-6+deb12u9.
standard_library.sha256 = '3212dfa7ab63e62b6b7b533d24c74216bcd01e04f5ac336735f8fb9509dcd614'

---The checksum of the Python files in a folder and below it: of lines of their checksums and paths.
---@param folder string
---@return string
function standard_library.checksum(folder)
  local lines = {}
  for i, file in ipairs((python_files.find(folder, math.huge))) do
    lines[i] = ('%s  %s\n'):format(host.sha256(files.read(folder .. '/' .. file.path)), file.path)
  end
  return host.sha256(table.concat(lines))
end

local function make(work, final)
  local packages = corpora.known.python_code.packages
  local versions, message = debian_package.unpack(packages, work)
  if not versions then return nil, message, work_folder.code_of(message) end
  local described, unpacked = debian_package.describe(packages, versions), work .. '/root' .. python_text.folder
  if files.type(unpacked) ~= 'dir' then
    return nil, ('%s: there is no %s'):format(described, python_text.folder), DATA
  end
  local made = work .. '/made'
  local ok, said = shell.run(('mkdir %s && %s && mv %s %s/lib'):format(shell.quote(made),
    OTHERS:format(shell.quote(unpacked)), shell.quote(unpacked), shell.quote(made)))
  if not ok then return nil, said, work_folder.code_of(said) end
  json.write(made .. '/made.json', { versions = described, sha256 = standard_library.checksum(made .. '/lib') })
  ok, said = os.rename(made, final)
  -- Another process may have been first; its folder is as good.
  if not ok and files.type(final) ~= 'dir' then return nil, said, work_folder.code_of(said) end
  return true
end

---The folder, after making it if need be. Raises (exit 4, or 9 where there is no room) when it cannot be had, and where
---the files in it were changed.
---@return string folder
---@return string versions of the packages that it is from
function standard_library.folder()
  local cache = corpora.cache()
  local final = cache .. python_text.folder:match '/[^/]*$'
  if not files.type(final) then
    console.note(('graph: fetching the sources of Python: %s'):format(corpora.origin 'python_code'))
    local made, message, code = work_folder.within(cache, debian_package.room, function(work)
      return make(work, final)
    end)
    if not made then
      fail.raise(code, "the sources of Python's standard library could not be had: %s; take a folder of Python files "
        .. 'of your own', message)
    end
  end
  local record, lib = json.read(final .. '/made.json'), final .. '/lib'
  local sum = standard_library.checksum(lib)
  if sum ~= record.sha256 then
    fail.data("'%s' was changed: its files have sha256 %s, expected %s; remove the folder, and it is made again", final,
      sum, record.sha256)
  end
  if sum ~= standard_library.sha256 then
    console.warn(("graph: WARNING: the sources of Python are from %s and are not the pinned ones; numbers do not "
      .. 'compare with those of other machines unless their sha256 is %s too'):format(record.versions, sum))
  end
  return lib, record.versions
end

return standard_library
