-- Tells which sessions are to be looked at, and gives nobody else the same ones for a while.
--
-- KEYS[1]  the list of deadlines: see note.lua
-- ARGV[1]  at most so many
-- ARGV[2]  they are due again after so many ms
-- reply    {pid ...}, the longest overdue first

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now), 'LIMIT', 0, ARGV[1])
local again = string.format('%.0f', now + ARGV[2])
for _, pid in ipairs(due) do
  redis.call('ZADD', KEYS[1], again, pid)
end
return due
