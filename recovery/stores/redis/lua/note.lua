-- Puts a session on the list of deadlines, or changes when to look at it.
--
-- KEYS[1]  the list, a sorted set: pid, and when to look, ms
-- ARGV[1]  pid
-- ARGV[2]  look in so many ms
-- ARGV[3]  the list is kept so long after that, ms
-- reply    1

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
local kept = ARGV[2] + ARGV[3]
if redis.call('PTTL', KEYS[1]) < kept then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', kept))
end
return 1
