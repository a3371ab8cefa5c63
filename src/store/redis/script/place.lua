-- Puts an entry at its place in a journal, unless it is there.
--
-- KEYS: journal. ARGV: id of the stream's entry, entry of the journal.
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  redis.call('XADD', KEYS[1], ARGV[1], 'e', ARGV[2])
end
return 1
