-- The byte-pair encoding of a knowledge graph's code: trained on the code of the training part alone, with the marks
-- that samples are made of. Kept in the cache under a name that follows from text and size.
local cache_folder = require 'base.cache_folder'
local data = require 'data'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local native = require 'lanthorn'

local tokenizer = {}

-- In the order of their ids, from 0.
local MARKS = { '[PAD]', '[CLS]', '[SEP]', '[MASK]', '[REL]', '[UNK]' }

---@class GraphTokenizer
---@field encode fun(text: string): integer[]
---@field special table<string, integer> ids of the marks: pad, cls, sep, mask, rel, unk
---@field vocab_size integer
---@field folder string with its vocab.json and merges.txt
---@field sha256 string of both files

---Opens an encoding that has the marks; a data error names one that it lacks.
---@param folder string
---@return GraphTokenizer
function tokenizer.open(folder)
  local bpe, special = native.data.open_bpe(folder), {}
  for _, mark in ipairs(MARKS) do
    local id = bpe:id(mark)
    if not id then
      fail.data("'%s': vocab.json has no token %s; it is not an encoding of a knowledge graph's code (graph.tokenizer)",
        folder, mark)
    end
    special[mark:sub(2, -2):lower()] = id
  end
  return { encode = function(text) return bpe:encode(text) end, special = special, vocab_size = bpe:vocab_size(),
    folder = folder, sha256 = host.sha256(files.read(folder .. '/vocab.json') .. files.read(folder .. '/merges.txt')) }
end

---An encoding of at most `vocab` tokens of these texts, trained if it was not before.
---@param texts string[]
---@param vocab integer
---@return GraphTokenizer
function tokenizer.of(texts, vocab)
  if #texts == 0 then fail.data 'graph.tokenizer: there is no code to train an encoding on' end
  local text = table.concat(texts, '\n')
  local folder = ('%s/bpe-%d-%s'):format(cache_folder 'graph', vocab, host.sha256(text):sub(1, 16))
  if not host.stat(folder .. '/vocab.json') then
    local made, problem = files.make_folder(folder)
    if not made then fail.raise(9, 'graph.tokenizer: cannot make the folder %s', problem) end
    local path = folder .. '/code.txt'
    files.write(path, text)
    data.train_bpe { file = path, vocab = vocab, folder = folder, specials = MARKS }
    os.remove(path)
  end
  return tokenizer.open(folder)
end

return tokenizer
