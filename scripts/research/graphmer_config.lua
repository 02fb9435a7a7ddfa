-- Configurations that GraphMER's own trainer takes, as YAML files: each setting either becomes one of ours or is an
-- error that names it. Steps are micro-steps there; they become updates.
local console = require 'console'
local fail = require 'fail'
local native = require 'lanthorn'
local nearest = require 'nearest'
local options = require 'options'
local pretty = require 'pretty'

local published = {}

---Section of an experiment that takes such a file. leave: settings that may stay unread, run.log_interval,hardware.
published.SECTION = { file = '', leave = '' }

-- Kinds of value: what one becomes, nil where it has no meaning here, and what is expected.
local function kind(convert, expected) return { convert = convert, expected = expected } end
local function one_of(names, expected) return kind(function(value) return names[value] end, expected) end
local function whole_from(least)
  return function(value)
    if type(value) == 'number' and value >= least and value % 1 == 0 and value < 2 ^ 53 then return value end
  end
end

local NUMBER = kind(function(value) if type(value) == 'number' then return value end end, 'a number')
local WEIGHT = kind(function(value) if type(value) == 'number' and value >= 0 then return value end end,
  'a number from 0 on')
local FLAG = kind(function(value) if type(value) == 'boolean' then return value end end, 'true or false')
local COUNT = kind(whole_from(1), 'a whole number from 1 on')
local SEED = kind(whole_from(0), 'a whole number from 0 on')
local STEPS = kind(whole_from(0), 'a whole number from 0 on') -- of micro-steps, which become updates
local DEVICE = kind(function(value) return value == 'gpu' and 'cuda' or type(value) == 'string' and value or nil end,
  'cpu, auto or gpu')
local PRECISION = one_of({ [false] = 'fp32', fp32 = 'fp32', bf16 = 'bf16' }, 'false, fp32 or bf16')
local OPTIMIZER = one_of({ adamw = 'adamw', adam = 'adam', sgd = 'sgd' }, 'adamw, adam or sgd')
local SCHEDULE = one_of({ cosine = 'cosine', linear = 'linear', constant = 'constant' }, 'cosine, linear or constant')
local POSITIONS = one_of({ learned = 'learned', graph = 'graph' }, 'learned or graph')
local NORM = one_of({ layernorm = 'post_ln', rmsnorm = 'pre_rms' }, 'layernorm or rmsnorm')
local ACTIVATION = one_of({ gelu = 'gelu', swiglu = 'swiglu' }, 'gelu or swiglu')

-- What a setting is called here, and its kind.
local SETTINGS = {
  ['run.seed'] = { 'train.seed', SEED }, ['run.epochs'] = { 'train.epochs', COUNT },
  ['run.max_steps'] = { 'train.max_steps', STEPS },
  ['run.gradient_accumulation_steps'] = { 'train.accumulate', COUNT },
  ['hardware.gradient_accumulation_steps'] = { 'train.accumulate', COUNT },
  ['training_data.grad_accumulation_steps'] = { 'train.accumulate', COUNT },
  ['run.mixed_precision'] = { 'train.precision', PRECISION },
  ['hardware.mixed_precision'] = { 'train.precision', PRECISION },
  ['run.save_interval_steps'] = { 'checkpoint.every.steps', STEPS },
  ['run.save_steps'] = { 'checkpoint.every.steps', STEPS },
  ['hardware.device'] = { 'train.device', DEVICE },
  ['model.hidden_size'] = { 'model.d_model', COUNT }, ['model.intermediate_size'] = { 'model.ff', COUNT },
  ['model.num_layers'] = { 'model.layers', COUNT }, ['model.num_hidden_layers'] = { 'model.layers', COUNT },
  ['model.num_heads'] = { 'model.heads', COUNT }, ['model.num_attention_heads'] = { 'model.heads', COUNT },
  ['model.dropout'] = { 'model.dropout', NUMBER },
  ['model.positional_encoding'] = { 'model.pos', POSITIONS },
  ['model.norm'] = { 'model.norm', NORM },
  ['model.activation'] = { 'model.act', ACTIVATION },
  ['model.use_rel_attention_bias'] = { 'model.rel_bias', FLAG },
  ['model.hgat.relation_bias'] = { 'model.rel_bias', FLAG },
  ['optimizer.name'] = { 'optim.name', OPTIMIZER },
  ['optimizer.type'] = { 'optim.name', OPTIMIZER },
  ['optimizer.lr'] = { 'optim.lr', NUMBER }, ['run.learning_rate'] = { 'optim.lr', NUMBER },
  ['optimizer.weight_decay'] = { 'optim.weight_decay', NUMBER }, ['optimizer.eps'] = { 'optim.eps', NUMBER },
  ['optimizer.beta1'] = { 'optim.beta1', NUMBER }, ['optimizer.beta2'] = { 'optim.beta2', NUMBER },
  ['optimizer.clip_grad'] = { 'optim.clip_norm', NUMBER },
  ['optimizer.scheduler.name'] = { 'optim.schedule', SCHEDULE },
  ['optimizer.scheduler.warmup_steps'] = { 'optim.warmup', STEPS }, ['run.warmup_steps'] = { 'optim.warmup', STEPS },
  ['training_data.max_seq_len'] = { 'graph.max_len', COUNT },
  ['training_data.max_code_files'] = { 'graph.files', COUNT },
  ['training_data.micro_batch_size'] = { 'rows.batch', COUNT },
  ['objectives.mlm.mask_prob'] = { 'rows.text_share', NUMBER },
  ['objectives.mnm.mask_prob'] = { 'rows.fact_share', NUMBER },
  ['objectives.mlm_loss_weight'] = { 'objective.w_mlm', WEIGHT },
  ['objectives.mnm_loss_weight'] = { 'objective.w_mnm', WEIGHT },
  ['encoding.max_leaves_per_sequence'] = { 'graph.leaves', COUNT },
  ['regularizers.ontology_constraints.antisymmetry_weight'] = { 'objective.antisymmetry', WEIGHT },
  ['regularizers.ontology_constraints.acyclicity_weight'] = { 'objective.acyclicity', WEIGHT },
  ['regularizers.contrastive.temperature'] = { 'objective.tau', NUMBER },
  ['checkpointing.activation_checkpointing'] = { 'train.recompute', FLAG },
  ['checkpointing.gradient_checkpointing'] = { 'train.recompute', FLAG },
}

-- What is so here whatever the file says, and what is nothing to read.
local function is_met(path) return path == 'run.deterministic' or path == 'notes' or path:find '^notes%.' ~= nil end

-- What is not done here, which is what false and 0 ask for.
local OFF = {}
for _, name in ipairs {
  'model.hgat.enabled',
  'training_data.pack_sequences',
  'training_data.short_to_long_curriculum.enabled',
  'training_data.curriculum_learning.enabled',
  'training_data.negative_sampling.enabled',
  'hardware.pin_memory',
  'hardware.num_workers',
  'objectives.mlm.span_mask_identifiers',
  'objectives.mnm.type_consistent_negatives',
  'objectives.mnm.hard_negatives',
  'encoding.leaves_per_anchor.negatives',
} do OFF[name] = true end

local WHY = {
  ['run.log_interval'] = 'every update is recorded', ['run.logging_steps'] = 'every update is recorded',
  ['run.eval_interval_steps'] = 'evals are at the ends of epochs',
  ['run.eval_steps'] = 'evals are at the ends of epochs',
  ['hardware.num_workers'] = 'the trainer makes its batches itself',
  ['hardware.pin_memory'] = 'the trainer makes its batches itself',
  ['model.hgat.enabled'] = 'there is no such model here; the published trainer does not read it either',
}

local function is_off(value) return value == false or value == 0 end

-- Settings of something that is not done here and that the file switches off.
local function switched_off(settings)
  local groups = {}
  for _, setting in ipairs(settings) do
    local group = OFF[setting.path] and setting.value == false and setting.path:match '^(.*)%.enabled$'
    if group then groups[#groups + 1] = group .. '.' end
  end
  return function(path)
    for _, group in ipairs(groups) do
      if path:sub(1, #group) == group then return true end
    end
    return false
  end
end

local function is_read(path)
  return SETTINGS[path] ~= nil or path == 'optimizer.betas' or path == 'regularizers.contrastive.enabled'
end

-- Whether a setting may stay unread, by the list of the command line.
local function left_out(list, settings)
  local named = {}
  for name in list:gmatch '[^,%s]+' do named[#named + 1] = name end
  local function is_of(path, name) return path == name or path:sub(1, #name + 1) == name .. '.' end
  for _, name in ipairs(named) do
    local found, unread, paths = false, false, {}
    for i, setting in ipairs(settings) do
      paths[i] = setting.path
      if is_of(setting.path, name) then found, unread = true, unread or not is_read(setting.path) end
    end
    if not found then
      fail.config("published.leave: the file has no setting '%s'%s", name, nearest.hint(name, paths))
    end
    if not unread then
      fail.config("published.leave: '%s' is read here; expected settings that are not. To have another value, set ours "
        .. 'on the command line', name)
    end
  end
  return function(path)
    for _, name in ipairs(named) do
      if is_of(path, name) then return true end
    end
    return false
  end
end

local function refuse_unread(file, unread)
  if #unread == 0 then return end
  local lines, names = {}, {}
  for i, setting in ipairs(unread) do
    names[i] = setting.path
    lines[i] = ('  line %d: %s = %s%s'):format(setting.line, setting.path, pretty.inline(setting.value),
      WHY[setting.path] and ': ' .. WHY[setting.path]
        or OFF[setting.path] and ': not done here' or nearest.hint(setting.path, published.names()))
  end
  fail.config("'%s': nothing here reads %s:\n%s\ntake them out of the file, or accept that they change nothing by "
    .. 'published.leave=%s', file, #unread == 1 and 'this setting' or ('these %d settings'):format(#unread),
    table.concat(lines, '\n'), table.concat(names, ','))
end

---Names of all settings that are read.
---@return string[]
function published.names()
  local names = { 'optimizer.betas', 'regularizers.contrastive.enabled' }
  for name in pairs(SETTINGS) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The settings as ours, {path, value, setting}, without the conversion of steps; and how many they are in the file.
local function converted(file, settings, may_stay)
  local made, unread, taken = {}, {}, 0
  local function add(path, value, setting) made[#made + 1] = { path = path, value = value, setting = setting } end
  local function bad(setting, expected)
    fail.config("'%s', line %d: %s is %s; expected %s", file, setting.line, setting.path, setting.value == nil
      and 'empty' or pretty.inline(setting.value), expected)
  end
  local by_switch = switched_off(settings)
  for _, setting in ipairs(settings) do
    local path, value, row = setting.path, setting.value, SETTINGS[setting.path]
    if is_read(path) then taken = taken + 1 end
    if row then
      local own = row[2].convert(value)
      if own == nil then bad(setting, row[2].expected) end
      add(row[1], own, setting)
    elseif path == 'optimizer.betas' then
      if type(value) ~= 'table' or #value ~= 2 or not NUMBER.convert(value[1]) or not NUMBER.convert(value[2]) then
        bad(setting, 'two numbers, [0.9, 0.999]')
      end
      add('optim.beta1', value[1], setting)
      add('optim.beta2', value[2], setting)
    elseif path == 'regularizers.contrastive.enabled' then
      if type(value) ~= 'boolean' then bad(setting, 'true or false') end
      add('objective.contrast', value and 1 or 0, setting)
    elseif not (is_met(path) or OFF[path] and is_off(value) or by_switch(path) or may_stay(path)) then
      unread[#unread + 1] = setting
    end
  end
  refuse_unread(file, unread)
  return made, taken
end

-- By path; two settings of one meaning must agree.
local function by_path(file, made)
  local found = {}
  for _, own in ipairs(made) do
    local other = found[own.path]
    if other and other.value ~= own.value then
      fail.config("'%s': line %d has %s = %s, line %d %s = %s, and both are %s here; expected one of them", file,
        other.setting.line, other.setting.path, pretty.inline(other.setting.value), own.setting.line, own.setting.path,
        pretty.inline(own.setting.value), own.path)
    end
    found[own.path] = own
  end
  return found
end

---Sections of an experiment's config as a file of the published trainer wants them; what the file does not tell of the
---model is the published one's. A value that the command line sets stays. Raises where a setting is not read here, has
---no meaning here, or is told in two ways (exit 3), and where the file is not YAML (exit 4).
---@param cfg table with the section published
---@param is_set fun(path: string): boolean whether the command line sets it
---@return table
function published.apply(cfg, is_set)
  local file = cfg.published.file
  if file == '' then
    if cfg.published.leave ~= '' then fail.config 'published.leave has no effect without published.file' end
    return cfg
  end
  local settings = native.data.read_yaml(file)
  local own, taken = converted(file, settings, left_out(cfg.published.leave, settings))
  local found = by_path(file, own)
  local accumulate = is_set 'train.accumulate' and cfg.train.accumulate
    or found['train.accumulate'] and found['train.accumulate'].value or 1
  local sections = { model = { profile = 'published' }, graph = { vocab = 8000 } }
  local function set(path, value)
    local section, name = path:match '^(%w+)%.(.+)$'
    sections[section] = sections[section] or {}
    sections[section][name] = value
  end
  for path, one in pairs(found) do
    local row = SETTINGS[one.setting.path]
    set(path, row and row[2] == STEPS and math.ceil(one.value / accumulate) or one.value)
  end
  -- What the file does not limit must not be limited by the script.
  local epochs, most = found['train.epochs'], found['train.max_steps']
  if epochs and not most then set('train.max_steps', 0) end
  if most and not epochs then set('train.epochs', math.max(1, most.value)) end -- an epoch has a micro-step or more
  local made = options.with(cfg, {})
  for section, values in pairs(sections) do
    for name in pairs(values) do
      if is_set(section .. '.' .. name) then values[name] = nil end
    end
    if section == 'checkpoint' then
      values = { every = options.with(cfg.checkpoint.every, { steps = values['every.steps'] }) }
    end
    made[section] = options.with(cfg[section], values)
  end
  console.note(('%-10s%s: %d of %d settings taken; %s an update'):format('published', file, taken, #settings,
    pretty.plural(made.train.accumulate or 1, 'micro-step')))
  return made
end

return published
