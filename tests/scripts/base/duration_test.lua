local duration = require 'base.duration'
local t = require 'testing'

t.test('durations are read as people write them', function()
  for _, case in ipairs { { 90, 90 }, { 0.5, 0.5 }, { '90', 90 }, { '30s', 30 }, { '5m', 300 }, { '1.5h', 5400 },
    { '2d', 172800 }, { '01:30:05', 5405 }, { '100:00:00', 360000 } } do
    t.equal(duration.seconds(case[1]), case[2])
  end
end)

t.test('anything else is refused with what was expected', function()
  for _, text in ipairs { '', '0', '0s', 'soon', '1:2:3', '01:60:00', '10:00', '-5', '1w', 'inf', 'nan', '1e999',
    '1.2.3' } do
    local seconds, message = duration.seconds(text)
    t.equal(seconds, nil)
    t.contains(message, ("expected a time such as 90s, 5m, 2h or HH:MM:SS, got '%s'"):format(text))
  end
  t.equal(duration.seconds(1 / 0), nil)
end)
