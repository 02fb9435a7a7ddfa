-- median: a cell ends whose best loss so far is above the median of what others had at its epoch (Golovin et al.,
-- Google Vizier, 2017).
local median = { options = { warmup = { 'int', 1, min = 0 }, startup = { 'int', 5, min = 1 } } }

---See asha. Not before epoch `warmup` + 1, and not before `startup` others came so far.
function median.prune(o, id, epoch, all)
  if epoch <= o.warmup then return nil end
  local others, best = {}, math.huge
  for e, value in pairs(all[id]) do
    if e <= epoch then best = math.min(best, value) end
  end
  for other, reports in pairs(all) do
    if other ~= id and reports[epoch] then others[#others + 1] = reports[epoch] end
  end
  if #others < o.startup then return nil end
  table.sort(others)
  local half = math.floor(#others / 2)
  local middle = #others % 2 == 1 and others[half + 1] or (others[half] + others[half + 1]) / 2
  if best <= middle then return nil end
  return ('median: %.4g at epoch %d, the median of %d others is %.4g'):format(best, epoch, #others, middle)
end

return median
