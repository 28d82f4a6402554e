-- Takes over a session, if it exists and may be had. Deletes nothing; a refusal changes nothing.
--
-- KEYS[1]  the session key, a string
-- KEYS[2]  its claim key, a hash: see save.lua
-- ARGV[1]  namespace
-- ARGV[2]  identity
-- ARGV[3]  epoch
-- ARGV[4]  the claiming server
-- ARGV[5]  nonce of this attempt; its repeat gets the same answer
-- reply    {1, number, session, proven, holder, state, ms since the holder said so}
--          {0, reason}

local claim = redis.call('HMGET', KEYS[2], 'n', 'state', 'deadline', 'nsp', 'identity', 'epoch', 'nonce',
  'proven', 'holder', 'since')
local number = tonumber(claim[1])
if not number then
  return { 0, 'session-unknown' }
end
if claim[2] == 'ended' then
  return { 0, 'disconnected' }
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local session = redis.call('GET', KEYS[1])
if not session or now > tonumber(claim[3]) then
  return { 0, 'session-expired' }
end
if claim[4] ~= ARGV[1] then
  return { 0, 'namespace-mismatch' }
end
if claim[5] ~= ARGV[2] then
  return { 0, 'identity-mismatch' }
end
if claim[6] ~= ARGV[3] then
  return { 0, 'epoch-changed' }
end
if claim[7] ~= ARGV[5] then
  number = number + 1
  redis.call('HSET', KEYS[2], 'n', number, 'owner', ARGV[4], 'nonce', ARGV[5],
    'claimed', string.format('%.0f', now))
end
return { 1, number, session, claim[8], claim[9], claim[2], math.max(0, now - tonumber(claim[10])) }
