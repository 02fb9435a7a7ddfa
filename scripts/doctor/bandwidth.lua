-- Memory bandwidth.
local finding = require 'base.finding'
local plural = require('pretty').plural

return { place = 13, slow = true, look = function(context)
  local b = context.diagnostics.bandwidth(context.threads, 0.2)
  local cache = b.cache_bytes > 0 and ('%.0f MiB'):format(b.cache_bytes / 2 ^ 20) or 'unknown'
  return finding.new({
    ('copy %.1f GB/s, triad %.1f GB/s on %s'):format(b.copy / 1e9, b.triad / 1e9, plural(context.threads, 'thread')),
    ('arrays of %.0f MiB, last cache %s'):format(b.buffer_bytes / 2 ^ 20, cache) }, {
    copy_gb_s = b.copy / 1e9, triad_gb_s = b.triad / 1e9, buffer_bytes = b.buffer_bytes, cache_bytes = b.cache_bytes,
    threads = context.threads })
end }
