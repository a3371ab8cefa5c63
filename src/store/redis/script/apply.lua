-- One atomic batch: refused as a whole unless its token, its step and its
-- checks hold.
--
-- KEYS are what checks and commands refer to by number.
-- ARGV: token ('' for none), step before and step after ('' for none), name of
-- the step, which key is the hash of the partition's counters (0: the batch needs
-- none of them), number of places to take in the order of events, number of
-- checks, checks, commands.
--
-- A check is kind, key, field, expected; '' is expected where nothing must be.
--   h: the field of a hash begins with it     z: the score of a member
--   c: how many members have the score `field`
--   g: the field of a hash is a number, and no lower
-- A command is op, name, key, number of arguments, arguments. The op is '' or
--   s<n>: the n-th place taken is its first argument
--   p<n>: the n-th place taken, as 8 bytes, goes before its last argument
--
-- Answers {0, place before the first taken}, {1} (a check failed), {2} (the token
-- is not the newest), {3, place} (this very step was applied before), {4} (it
-- does not follow the last step), {5} (a number is lower).
local at = 0
local function take()
  at = at + 1
  return ARGV[at]
end

local token, before, after, name = take(), take(), take(), take()
local counters = KEYS[tonumber(take())]
local wanted, checks = tonumber(take()), tonumber(take())
if token ~= '' and redis.call('HGET', counters, 'own') ~= token then
  return {2}
end
if after ~= '' then
  local held = redis.call('HMGET', counters, 'step', 'name', 'base')
  local step = held[1] or '0'
  if step == after and held[2] == name then
    return {3, tonumber(held[3] or '0')}
  elseif step ~= before then
    return {4}
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
  elseif kind == 'g' then
    if tonumber(redis.call('HGET', key, field) or '0') < tonumber(expected) then
      return {5}
    end
    found = expected
  else
    found = tostring(redis.call('ZCOUNT', key, field, field))
  end
  if found ~= expected then
    return {1}
  end
end

local first = 0
if wanted > 0 then
  first = redis.call('HINCRBY', counters, 'events', wanted) - wanted
end
if after ~= '' then
  redis.call('HSET', counters, 'step', after, 'name', name, 'base', first)
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
