-- Gives the stream a new epoch after it lost writes, and sees that ids go on above a given one. Loaded
-- after stream.lua.
--
-- KEYS[1]  the stream
-- KEYS[2]  its epoch key
-- ARGV[1]  the epoch that is not to go on; if it has changed already, that is not repeated
-- ARGV[2]  epoch to take
-- ARGV[3]  an id that was lost
-- reply    {epoch, first id, last id, server's clock in ms}

local function is_above(id, other)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  local other_ms, other_seq = string.match(other, '^(%d+)-(%d+)$')
  ms, seq, other_ms, other_seq = tonumber(ms), tonumber(seq), tonumber(other_ms), tonumber(other_seq)
  return ms > other_ms or (ms == other_ms and seq > other_seq)
end

local function newest()
  return redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1]
end

local now = clock()
local epoch = ensure(KEYS[1], KEYS[2], ARGV[2], now)
local last = newest()
local is_stale = epoch == ARGV[1]
if is_stale then
  epoch = ARGV[2]
end
if is_stale or not is_above(last, ARGV[3]) then
  last = add(KEYS[1], is_above(last, ARGV[3]) and last or ARGV[3], now, { 'epoch', epoch })
  redis.call('HSET', KEYS[2], 'id', epoch, 'last', last)
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
return { epoch, first, last, clock() }
