-- Takes over a session whose deadline has passed, for good: claim.lua grants it to nobody any more.
--
-- KEYS[1]  the session key, a string
-- KEYS[2]  its claim key, a hash: see save.lua. Adds to it:
--            leased    until when nobody else is granted the expired session, ms
--            attempts  how many times it was granted
-- ARGV[1]  the server that asks
-- ARGV[2]  nonce of this attempt; its repeat gets the same answer, and the lease anew
-- ARGV[3]  grace for a client that was granted the session, ms
-- ARGV[4]  lease, ms
-- ARGV[5]  a value of more bytes is not read; -1 for no limit
-- reply    {2, number, session, state, ms since the holder said so, attempts}
--          {1, ms to wait}
--          {0}: it ended, was buried, or its value is lost or too large

local claim = redis.call('HMGET', KEYS[2], 'n', 'state', 'deadline', 'claimed', 'nonce', 'leased', 'since',
  'attempts')
if not claim[1] or claim[2] == 'ended' then
  return { 0 }
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local repeated = claim[5] == ARGV[2]
local due = tonumber(claim[3])
if claim[4] then
  due = math.max(due, tonumber(claim[4]) + ARGV[3])
end
if claim[6] and not repeated then
  due = math.max(due, tonumber(claim[6]))
end
if now <= due then
  return { 1, due - now + 1 }
end
local size, most = redis.call('STRLEN', KEYS[1]), ARGV[5]
if redis.call('EXISTS', KEYS[1]) == 0 or (most >= 0 and size > most) then
  return { 0 }
end
local session = redis.call('GET', KEYS[1])
local number, attempts = tonumber(claim[1]), tonumber(claim[8] or 0)
if not repeated then
  number, attempts = number + 1, attempts + 1
  redis.call('HSET', KEYS[2], 'n', number, 'owner', ARGV[1], 'nonce', ARGV[2], 'attempts', attempts)
end
redis.call('HSET', KEYS[2], 'leased', string.format('%.0f', now + ARGV[4]))
return { 2, number, session, claim[2], math.max(0, now - tonumber(claim[7])), attempts }
