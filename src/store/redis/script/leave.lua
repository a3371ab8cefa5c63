-- Takes a sign of life back, if it is this process's.
--
-- KEYS: nodes, nodes by when their sign lapses. ARGV: name, incarnation.
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and string.sub(held, 1, #ARGV[2]) == ARGV[2] then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
end
return 1
