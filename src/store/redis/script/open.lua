-- Raises the epoch of a partition: from now on the new token alone may write.
--
-- KEYS: counters. ARGV: lowest epoch to give, incarnation. Answers the epoch.
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0') + 1
epoch = string.format('%.0f', math.max(epoch, tonumber(ARGV[1])))
redis.call('HSET', KEYS[1], 'epoch', epoch, 'own', epoch .. ':' .. ARGV[2])
return tonumber(epoch)
