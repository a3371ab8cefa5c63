-- One atomic batch: refused as a whole unless its token, its step and its
-- checks hold.
--
-- KEYS[1] is the hash of the partition's counters (any key when the batch needs
-- none of them); the others are what checks and commands refer to by number.
-- ARGV: token ('' for none), step before and step after ('' for none), number of
-- places to take in the order of events, number of checks, checks, commands.
--
-- A check is kind, key, field, expected; '' is expected where nothing must be.
--   h: the field of a hash begins with it     z: the score of a member
--   c: how many members have the score `field`
-- A command is op, name, key, number of arguments, arguments. The op is '' or
--   s<n>: the n-th place taken is its first argument
--   p<n>: the n-th place taken, as 8 bytes, goes before its last argument
--
-- Answers {0, place before the first taken}, {1, number of the check that
-- failed; 0: the step}, {2} (the token is not the newest), {3, place} (this
-- step was applied before).
local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end

local token, before, after = take(), take(), take()
local wanted, checks = tonumber(take()), tonumber(take())
local counters = KEYS[1]
if token ~= '' and redis.call('HGET', counters, 'own') ~= token then
  return {2}
end
if after ~= '' then
  local step = redis.call('HGET', counters, 'step') or '0'
  if step == after then
    return {3, tonumber(redis.call('HGET', counters, 'base') or '0')}
  elseif step ~= before then
    return {1, 0}
  end
end

for i = 1, checks do
  local kind, key, field, expected = take(), KEYS[tonumber(take())], take(), take()
  local found
  if kind == 'h' then
    found = redis.call('HGET', key, field)
    found = found and (expected == '' and found or string.sub(found, 1, #expected)) or ''
  elseif kind == 'z' then
    found = redis.call('ZSCORE', key, field) or ''
  else
    found = tostring(redis.call('ZCOUNT', key, field, field))
  end
  if found ~= expected then
    return {1, i}
  end
end

local first = 0
if wanted > 0 then
  first = redis.call('HINCRBY', counters, 'events', wanted) - wanted
end
if after ~= '' then
  redis.call('HSET', counters, 'step', after, 'base', first)
end
while at < #ARGV do
  local op, name, key, count = take(), take(), KEYS[tonumber(take())], tonumber(take())
  local last = at + count
  if op == '' then
    redis.call(name, key, unpack(ARGV, at + 1, last))
  else
    local place = first + tonumber(string.sub(op, 2))
    if string.sub(op, 1, 1) == 's' then
      redis.call(name, key, place, unpack(ARGV, at + 1, last))
    else
      local arguments = {unpack(ARGV, at + 1, last)}
      arguments[count] = struct.pack('>I8', place) .. arguments[count]
      redis.call(name, key, unpack(arguments))
    end
  end
  at = last
end
return {0, first}
