-- Entries of a journal with their messages, whether their turn was taken, and
-- their recipients.
--
-- KEYS: counters, journal, messages, states, index of citizens, citizens.
-- ARGV: lane, first entry, most entries, length of a fiscal code.
-- Answers {checkpoint, tail, {{id, entry, message, taken, ordinal, citizen}...}}.
local counters = redis.call('HMGET', KEYS[1], 'checkpoint:' .. ARGV[1], 'tail:' .. ARGV[1])
local checkpoint = tonumber(counters[1] or '0')
local from = math.max(checkpoint, tonumber(ARGV[2]))
local start = string.format('%.0f-0', from + 1)
local found = {}
for _, one in ipairs(redis.call('XRANGE', KEYS[2], start, '+', 'COUNT', ARGV[3])) do
  local entry = one[2][2]
  local id = string.sub(entry, 1, 16)
  local ordinal = redis.call('HGET', KEYS[5], string.sub(entry, -tonumber(ARGV[4])))
  found[#found + 1] = {
    one[1], entry,
    redis.call('HGET', KEYS[3], id),
    redis.call('HEXISTS', KEYS[4], id),
    ordinal,
    ordinal and redis.call('HGET', KEYS[6], ordinal),
  }
end
return {checkpoint, tonumber(counters[2] or '0'), found}
