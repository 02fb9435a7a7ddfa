-- What a sample begins with where nobody gave a prompt.
local sample_prompt = {}

local PROMPT_LENGTH = 24 -- characters of a line at most
local LOOK_AT = 16 -- batches at the beginning of val
local CHARACTER = '[%z\1-\127\194-\244][\128-\191]*'

-- The beginning of a line, with its end if that is near; and whether the text held that much. No word is cut where
-- there are several.
local function beginning(line)
  local length, count = 0, 0
  for character in line:gmatch(CHARACTER) do
    length, count = length + #character, count + 1
    if character == '\n' then return line:sub(1, length), true end
    if count == PROMPT_LENGTH then break end
  end
  local start = line:sub(1, length)
  local at_end_of_word = line:find('^%s', length + 1)
  return not at_end_of_word and start:match '^(.*%S)%s+%S*$' or start, count == PROMPT_LENGTH
end

-- The first so many characters; all where most is 0.
local function cut(text, most)
  if most == 0 then return text end
  local length, count = 0, 0
  for character in text:gmatch(CHARACTER) do
    if count == most then break end
    length, count = length + #character, count + 1
  end
  return text:sub(1, length)
end

---A prompt out of the texts of a training: the first beginning of a line that is as long as wanted, else the longest;
---the first characters where no line begins. No more characters than the model takes steps.
---@param data table
---@param model Module
---@param advice string what to do where there is no text, such as "give sample_text a prompt"
---@return string
function sample_prompt.of(data, model, advice)
  local batches = data:prompt_batches()
  if not batches then error(('data.%s has no text to begin with; %s'):format(data.kind, advice), 0) end
  if batches:count() == 0 then batches = data.train end
  local first, longest
  for i = 0, math.min(batches:count(), LOOK_AT) - 1 do
    local ids = batches:get(i)
    for j = 0, ids:size(0) - 1 do
      local row = data:decode(ids[j])
      first = first or row
      local before = row:find '[\r\n][^%s]'
      local start, whole = beginning(before and row:sub(before + 1) or '')
      if whole then return cut(start, model:max_length()) end
      if #start > #(longest or '') then longest = start end
    end
  end
  return cut(longest or (beginning(first)), model:max_length())
end

return sample_prompt
