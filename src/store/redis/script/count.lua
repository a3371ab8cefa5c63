-- Counts entries of a journal whose turn was not taken.
--
-- KEYS: journal, messages, states. ARGV: first id, last id, most entries.
-- Answers {entries, turns not taken, messages missing, first id, last id}.
local rows = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[2], 'COUNT', ARGV[3])
local waiting, missing = 0, 0
for _, one in ipairs(rows) do
  local id = string.sub(one[2][2], 1, 16)
  if redis.call('HEXISTS', KEYS[3], id) == 0 then
    waiting = waiting + 1
    if redis.call('HEXISTS', KEYS[2], id) == 0 then
      missing = missing + 1
    end
  end
end
if #rows == 0 then
  return {0, 0, 0}
end
return {#rows, waiting, missing, rows[1][1], rows[#rows][1]}
