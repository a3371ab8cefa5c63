-- Appends a message to a journal, once for each id.
--
-- KEYS: counters, journal, messages, messages addressed to the recipient.
-- ARGV: lane, id, row, entry of the journal, name of this call.
-- Answers {1, place in the journal}, or {0, place} when the id is known: unless
-- it was this very call that wrote it, as long as the entry is there to tell.
local held = redis.call('HGET', KEYS[3], ARGV[2])
if held then
  local sequence = struct.unpack('>I8', held)
  local at = string.format('%.0f-0', sequence + 1)
  local entry = redis.call('XRANGE', KEYS[2], at, at)[1]
  local own = entry and entry[2][2] == ARGV[4] and entry[2][4] == ARGV[5]
  return {own and 1 or 0, sequence}
end
local sequence = redis.call('HINCRBY', KEYS[1], 'tail:' .. ARGV[1], 1) - 1
redis.call('XADD', KEYS[2], string.format('%.0f-0', sequence + 1), 'e', ARGV[4], 'c', ARGV[5])
redis.call('HSET', KEYS[3], ARGV[2], struct.pack('>I8', sequence) .. ARGV[3])
redis.call('ZADD', KEYS[4], 0, ARGV[2])
return {1, sequence}
