-- The state that an exit code stands for where nothing says more; FAILED for all others (engine/run/README.md).
return { [0] = 'FINISHED', [6] = 'DIVERGED', [7] = 'TIMEOUT', [75] = 'PREEMPTED', [129] = 'INTERRUPTED',
  [130] = 'INTERRUPTED', [143] = 'INTERRUPTED' }
