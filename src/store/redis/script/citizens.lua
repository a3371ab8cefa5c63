-- Citizens by fiscal code.
--
-- KEYS: index of citizens, citizens. ARGV: fiscal codes.
-- Answers ordinal and record of each in turn, false where there is none.
local found = {}
for i, code in ipairs(ARGV) do
  local ordinal = redis.call('HGET', KEYS[1], code)
  found[2 * i - 1] = ordinal
  found[2 * i] = ordinal and redis.call('HGET', KEYS[2], ordinal)
end
return found
