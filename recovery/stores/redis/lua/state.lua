-- Tells the state of the stream; changes nothing.
--
-- KEYS[1]  the stream
-- KEYS[2]  its epoch key
-- reply    {epoch, first id, last id, server's clock in ms}; nil without a stream or an epoch

local epoch = redis.call('HGET', KEYS[2], 'id')
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
if not epoch or not first then
  return false
end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1]
local time = redis.call('TIME')
return { epoch, first[1], last[1], tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000) }
