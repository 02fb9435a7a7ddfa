-- data.train_bpe: a byte-level byte-pair encoding of a text, by sentencepiece's spm_train, in GPT-2's files.
local check_file = require 'sources.check_file'
local corpora = require 'corpus.registry'
local fail = require 'fail'
local files = require 'files'
local host = require 'host'
local native = require 'lanthorn'
local options = require 'options'
local shell = require 'base.shell'

local data = {}

local BYTES = 256

-- Nothing is changed but what BPE changes: no normalisation, and no pieces of its own but <unk>, which is dropped.
local WORDS = '--input_format=tsv --model_type=bpe --character_coverage=1.0 --normalization_rule_name=identity '
  .. '--add_dummy_prefix=false --remove_extra_whitespaces=false --split_by_unicode_script=false '
  .. '--split_by_number=false --split_by_whitespace=false --bos_id=-1 --eos_id=-1 --unk_id=0 '
  .. '--max_sentencepiece_length=64 --hard_vocab_limit=false --minloglevel=2 --num_threads=1'

-- Distinct signs of the pieces: what the vocabulary of spm_train has beside merges.
local function signs(tsv)
  local seen, count = {}, 0
  for line in io.lines(tsv) do
    for sign in line:match('^(.-)\t'):gmatch '[%z\1-\127\194-\244][\128-\191]*' do
      if not seen[sign] then seen[sign], count = true, count + 1 end
    end
  end
  return count
end

---Trains an encoding of `vocab` tokens, the 256 bytes and <|endoftext|> among them, on a text, and writes vocab.json
---and merges.txt into a folder, which `data.text { bpe = folder }` reads. Where they are there already nothing is done.
---`specials`: tokens that no text has, such as '[MASK]'; they come first, and there is no <|endoftext|>.
---@param given { file: string?, corpus: string?, vocab: integer?, folder: string, specials: string[]? }
---@return string folder
function data.train_bpe(given)
  local o = options.check('data.train_bpe', given, { file = 'string?', corpus = 'string?', vocab = { 'int', 1000 },
    folder = 'string', specials = { 'list', {} } })
  local least = BYTES + (#o.specials > 0 and #o.specials or 1)
  if o.vocab <= least then
    fail.config('data.train_bpe: vocab must be above %d, the bytes and %s, got %d', least,
      #o.specials > 0 and 'the specials' or 'the end of a text', o.vocab)
  end
  if host.stat(o.folder .. '/vocab.json') and host.stat(o.folder .. '/merges.txt') then return o.folder end
  if not shell.has 'spm_train' then
    fail.raise(9, 'data.train_bpe: spm_train is not installed; on Debian: apt-get install sentencepiece')
  end
  if o.file then check_file(o.file, 'data.train_bpe file') end
  local path = o.file or corpora.find(o.corpus or 'tinyshakespeare').path
  local made, problem = files.make_folder(o.folder)
  if not made then fail.raise(9, 'data.train_bpe: cannot make the folder %s', problem) end
  local tsv, model = o.folder .. '/pieces.tsv', o.folder .. '/pieces'
  native.data.count_pieces(path, tsv)
  local ok, said = shell.run(('spm_train --input=%s --model_prefix=%s --vocab_size=%d %s'):format(shell.quote(tsv),
    shell.quote(model), o.vocab - least + 1 + signs(tsv), WORDS))
  if not ok then fail.raise(9, "data.train_bpe: spm_train failed on '%s': %s", path, said) end
  native.data.write_bpe(model .. '.vocab', o.folder, o.specials)
  for _, name in ipairs { tsv, model .. '.vocab', model .. '.model' } do os.remove(name) end
  return o.folder
end

return data.train_bpe
