-- Notes a sign of life and removes those that lapsed, all by Redis' clock.
--
-- KEYS: nodes, nodes by when their sign lapses. ARGV: name, incarnation, view,
-- milliseconds it is good for.
-- Answers {0, {incarnation and view of each...}}, or {1} when another living
-- process has the name.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lapses = string.format('%.0f', now + tonumber(ARGV[4]))
now = string.format('%.0f', now)
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE')) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end
-- The clock went back, or is another server's: nobody lives longer for that.
for _, name in ipairs(redis.call('ZRANGE', KEYS[2], '(' .. lapses, '+inf', 'BYSCORE')) do
  redis.call('ZADD', KEYS[2], lapses, name)
end
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and string.sub(held, 1, #ARGV[2]) ~= ARGV[2] then
  return {1}
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ARGV[3])
redis.call('ZADD', KEYS[2], lapses, ARGV[1])
return {0, redis.call('HVALS', KEYS[1])}
