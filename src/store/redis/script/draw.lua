-- Draws from a bucket that fills by itself, by Redis' clock.
--
-- The bucket is one number: when it is full again, in microseconds. Each token
-- drawn moves that by the time one takes to come.
--
-- KEYS: bucket. ARGV: tokens a second, most tokens in it, tokens wanted.
-- Answers {tokens drawn, microseconds until there is one more}.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local each = 1000000 / tonumber(ARGV[1])
local most = tonumber(ARGV[2])
local full = tonumber(redis.call('GET', KEYS[1]) or '0')
-- A clock that went back must not empty it for longer than it can be empty.
full = math.min(math.max(full, now), now + most * each)
-- A thousandth of a token is what rounding may cost.
local there = most - (full - now) / each + 0.001
local drawn = math.max(0, math.min(tonumber(ARGV[3]), math.floor(there)))
if drawn > 0 then
  full = full + drawn * each
  local lives = math.ceil((full - now) / 1000) + 1000
  redis.call('SET', KEYS[1], string.format('%.2f', full), 'PX', string.format('%.0f', lives))
end
local left = there - drawn
if left >= 1 then
  return {drawn, 0}
end
return {drawn, math.ceil((1 - left) * each)}
