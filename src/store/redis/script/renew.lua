-- Renews the lease of a partition, for who owns it. One that lapsed is taken
-- again as long as nobody else became owner; one that was given back is not.
--
-- KEYS: counters, lease. ARGV: token, epoch, incarnation, milliseconds (0: there
-- are no leases). Answers 1 (held) or 0.
local held = redis.call('HMGET', KEYS[1], 'own', 'released')
if held[1] ~= ARGV[1] or held[2] == ARGV[2] then
  return 0
end
if ARGV[4] == '0' then
  return 1
end
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[3] then
  return 0
end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
return 1
