-- Gives the stream a new epoch after it lost writes, and sees that ids go on above a given one. Loaded
-- after stream.lua.
--
-- KEYS[1]  the stream
-- KEYS[2]  its epoch key
-- ARGV[1]  the epoch that is not to go on; if another has begun above ARGV[3], that is not repeated
-- ARGV[2]  epoch to take
-- ARGV[3]  an id that was lost
-- reply    {epoch, first id, last id, server's clock in ms}

local now = clock()
local epoch = ensure(KEYS[1], KEYS[2], ARGV[2], now)
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1]
local at = redis.call('HGET', KEYS[2], 'at')
if epoch == ARGV[1] or not at or not is_above(at, ARGV[3]) then -- an older one may have come back
  epoch, last = renew(KEYS[1], KEYS[2], ARGV[2], now, ARGV[3])
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
return { epoch, first, last, clock() }
