-- The CPU: cores, quota and how busy they are.
local finding = require 'base.finding'
local plural = require('pretty').plural

return { place = 1, look = function(context)
  local machine, budget = context.machine, context.budget
  local quota = budget.quota and ('cgroup quota %s'):format(plural(budget.quota, 'CPU')) or 'no cgroup quota'
  local flags = #machine.flags > 0 and table.concat(machine.flags, ' ') or 'no AVX2'
  local found = finding.new({ machine.cpu, ('%s, %s, %s, load %.1f; %s'):format(plural(budget.cores, 'core'),
    plural(budget.cpus, 'logical CPU'), quota, machine.load_average, flags) }, {
    cpu = machine.cpu, cores = budget.cores, cpus = budget.cpus, quota = budget.quota, flags = machine.flags,
    load_average = machine.load_average })
  if machine.load_average >= budget.cores + 1 then
    found:problem('warn', 'the machine is busy: whatever is timed now is slower than it could be',
      'ps -eo pid,pcpu,etime,args --sort=-pcpu | head')
  end
  return found
end }
