-- Appends a message to a journal, once for each id.
--
-- KEYS: counters, journal, messages, messages addressed to the recipient.
-- ARGV: lane, id, row, entry of the journal.
-- Answers {1, place in the journal}, or {0, place} when the id is known.
local held = redis.call('HGET', KEYS[3], ARGV[2])
if held then
  return {0, (struct.unpack('>I8', held))}
end
local sequence = redis.call('HINCRBY', KEYS[1], 'tail:' .. ARGV[1], 1) - 1
redis.call('XADD', KEYS[2], string.format('%.0f-0', sequence + 1), 'e', ARGV[4])
redis.call('HSET', KEYS[3], ARGV[2], struct.pack('>I8', sequence) .. ARGV[3])
redis.call('ZADD', KEYS[4], 0, ARGV[2])
return {1, sequence}
