-- Texts for tests: as many characters as wanted, the same every time.
local texts = {}

local LETTERS = 'etaoinshrdlucmfwypvbgkjqxz'
local NEXT, MODULUS = 16807, 2147483647 -- the minimal standard generator of Park and Miller

-- A function that gives the next number from 0 to n - 1.
local function draws(seed)
  local state = seed * 7919 % (MODULUS - 1) + 1
  return function(n)
    state = state * NEXT % MODULUS
    return state % n
  end
end

---Sentences of made-up words, a line each, in letters as frequent as in English. Long stretches of it do not repeat.
---@param characters integer
---@param seed? integer another text for another number; 1 otherwise
---@return string
function texts.words(characters, seed)
  local draw, parts, have = draws(seed or 1), {}, 0
  local vocabulary = {}
  for i = 1, 2000 do
    local letters = {}
    for j = 1, 2 + draw(7) do
      local at = 1 + math.min(draw(#LETTERS), draw(#LETTERS))
      letters[j] = LETTERS:sub(at, at)
    end
    vocabulary[i] = table.concat(letters)
  end
  while have < characters do
    local sentence = {}
    for i = 1, 4 + draw(12) do sentence[i] = vocabulary[1 + math.min(draw(#vocabulary), draw(#vocabulary))] end
    local line = table.concat(sentence, ' '):gsub('^%l', string.upper) .. '.\n'
    parts[#parts + 1], have = line, have + #line
  end
  return table.concat(parts):sub(1, characters)
end

---"the cat sat 1 the owl sat 2 ...": so few words that a tiny model learns them.
---@param count integer of such phrases
---@param ending? string behind each; a space otherwise
---@return string
function texts.animals(count, ending)
  local animals, parts = { 'cat', 'dog', 'owl' }, {}
  for i = 1, count do parts[i] = ('the %s sat %d%s'):format(animals[i * i % 7 % 3 + 1], i % 10, ending or ' ') end
  return table.concat(parts)
end

---Letters drawn evenly from ten: no 64 of them come twice, and nothing but how frequent they are can be learnt.
---@param characters integer
---@return string
function texts.letters(characters)
  local state, letters = 7, {}
  for i = 1, characters do
    state = state * NEXT % MODULUS
    letters[i] = ('abcdefgh \n'):sub(state % 10 + 1, state % 10 + 1)
  end
  return table.concat(letters)
end

---One sentence again and again, a line each.
---@param lines integer
---@return string
function texts.mat(lines)
  return ('the cat sat on the mat, and so did the dog\n'):rep(lines)
end

return texts
