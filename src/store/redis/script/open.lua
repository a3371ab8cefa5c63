-- Raises the epoch of a partition: from now on the new token alone may write.
-- With a lease, only while no other process holds it; it is taken in the same
-- step.
--
-- A call is named by the store it came from and its number there, so that a copy
-- that arrives twice raises nothing twice, and one that arrives late, after a
-- newer call or after the lease was given back, does nothing.
--
-- KEYS: counters, lease. ARGV: lowest epoch to give, incarnation, milliseconds
-- of the lease (0: none is looked at), store, number of the call.
-- Answers {0, epoch}, {1} (leased to another), {2} (late).
local held = redis.call('HMGET', KEYS[1], 'epoch', 'opener', 'opening', 'released')
local epoch, lease = held[1], ARGV[3]
if lease ~= '0' then
  local holder = redis.call('GET', KEYS[2])
  if holder and holder ~= ARGV[2] then
    return {1}
  end
end
if held[2] == ARGV[4] and tonumber(held[3]) >= tonumber(ARGV[5]) then
  if held[3] ~= ARGV[5] or held[4] == epoch then
    return {2}
  end
else
  epoch = string.format('%.0f', math.max(tonumber(epoch or '0') + 1, tonumber(ARGV[1])))
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'own', epoch .. ':' .. ARGV[2],
    'opener', ARGV[4], 'opening', ARGV[5])
end
if lease ~= '0' then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', lease)
end
return {0, tonumber(epoch)}
