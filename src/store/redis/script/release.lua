-- Gives a lease back, if it is held under this epoch. That it was given back is
-- noted, so that a renewal that arrives late does not take it again.
--
-- KEYS: counters, lease. ARGV: token, epoch, incarnation.
-- Answers 1 (it was given back) or 0 (it was not held).
if redis.call('HGET', KEYS[1], 'own') ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'released', ARGV[2])
if redis.call('GET', KEYS[2]) == ARGV[3] then
  redis.call('DEL', KEYS[2])
end
return 1
