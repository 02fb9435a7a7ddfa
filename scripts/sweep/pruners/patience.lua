-- patience: a cell ends whose loss has not become lower by min_delta for so many epochs; others do not matter.
local patience = { options = { epochs = { 'int', 3, min = 1 }, min_delta = { 'number', 0, min = 0 } } }

---See asha.
function patience.prune(o, id, epoch, all)
  local best, since = math.huge, 0
  for e = 1, epoch do
    local value = all[id][e]
    if value then
      if value < best - o.min_delta then best, since = value, 0 else since = since + 1 end
    end
  end
  if since < o.epochs then return nil end
  return ('patience: not below %.4g for %d epochs'):format(best, since)
end

return patience
