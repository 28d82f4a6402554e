-- Gives the stream a new epoch after it lost writes, and sees that ids go on above a given one. Loaded
-- after stream.lua.
--
-- KEYS[1]  the stream
-- KEYS[2]  its epoch key
-- ARGV[1]  the epoch that is not to go on; if it has changed already, that is not repeated
-- ARGV[2]  epoch to take
-- ARGV[3]  an id that was lost
-- reply    {epoch, first id, last id, server's clock in ms}

local now = clock()
local epoch = ensure(KEYS[1], KEYS[2], ARGV[2], now)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1]
local is_stale = epoch == ARGV[1]
if is_stale or not is_above(last, ARGV[3]) then
  epoch, last = renew(KEYS[1], KEYS[2], is_stale and ARGV[2] or epoch, now, ARGV[3])
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
return { epoch, first, last, clock() }
