-- Makes sure that the stream and its epoch exist, and tells its state. Loaded after stream.lua.
--
-- KEYS[1]  the stream
-- KEYS[2]  its epoch key
-- ARGV[1]  epoch to take if there is none, or if the stream is gone
-- reply    {epoch, first id, last id, server's clock in ms}

local epoch = ensure(KEYS[1], KEYS[2], ARGV[1], clock())
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1][1]
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1]
redis.call('HSET', KEYS[2], 'last', last) -- Node servers may have added entries
return { epoch, first, last, clock() } -- anew: in Redis 6.2 time goes on during a script
