-- Writes a session, or parts of it, under a claim number; refused if that is not in force, or another's.
--
-- KEYS[1]   the session key, a string: the encoded session. Expires with the session, or later.
-- KEYS[2]   its claim key, a hash that outlives the session by the linger time:
--             n         claim number; every write names it
--             owner     server that holds the claim
--             nonce     of the claim in force; absent before the first one
--             holder    server that last held the client's connection
--             state     what it said of the connection: live, closing, away, ended
--             since     when it opened, closed or ended, ms
--             deadline  when the session expires, ms
--             proven    offset that the client has proven to have received
--             nsp, identity, epoch    what a claim must match
--             claimed   when a client was last granted it, ms; absent before the first claim
--             leased, attempts    see expire.lua
-- ARGV[1]   claim number
-- ARGV[2]   the writing server
-- ARGV[3]   whether to create the session, if there is none or an older claim's
-- ARGV[4]   whether ARGV[12] is the session; it stays as it is otherwise
-- ARGV[5]   state
-- ARGV[6]   lifetime of the session in ms
-- ARGV[7]   linger time in ms
-- ARGV[8]   proven
-- ARGV[9]   namespace
-- ARGV[10]  identity
-- ARGV[11]  epoch
-- ARGV[12]  the encoded session, or ''
-- ARGV[13]  how much longer than the session its value is kept, ms
-- ARGV[14]  nonce of the claim; '' before the first one
-- reply     {1, 1 if the store has no session (and none was given) else 0}
--           {0, claim number in force, 0 if the session is gone}

local claim = redis.call('HMGET', KEYS[2], 'n', 'owner', 'holder', 'state', 'nonce')
redis.call('STRLEN', KEYS[1]) -- an error, before anything is written, if it is no string
local create, ended = ARGV[3], ARGV[5] == 'ended'
local stored, number = tonumber(claim[1]), ARGV[1]
if not stored then
  if not create then
    return { 0, 0 }
  end
elseif number < stored or (number > stored and not create) then
  return { 0, stored }
elseif number == stored then
  if claim[2] ~= ARGV[2] or (claim[5] or '') ~= ARGV[14] then
    return { 0, stored } -- a repeated create, whose reply was lost, comes from the owner and its claim
  elseif claim[4] == 'ended' and not ended then
    return { 0, 0 } -- for good: else a late checkpoint would bring the session back
  end
else
  redis.call('HDEL', KEYS[2], 'nonce', 'claimed', 'leased', 'attempts') -- of an older claim
end

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local ttl, linger = ARGV[6], ARGV[7]
local kept, missing = ttl + ARGV[13], 0
if ended then
  ttl = 0
  redis.call('DEL', KEYS[1])
elseif ARGV[4] then
  redis.call('SET', KEYS[1], ARGV[12], 'PX', kept)
else
  missing = 1 - redis.call('PEXPIRE', KEYS[1], kept)
end

redis.call('HSET', KEYS[2], 'n', ARGV[1], 'owner', ARGV[2], 'holder', ARGV[2], 'state', ARGV[5],
  'deadline', string.format('%.0f', now + ttl), 'proven', ARGV[8],
  'nsp', ARGV[9], 'identity', ARGV[10], 'epoch', ARGV[11])
local still_closed = claim[4] == 'closing' and ARGV[5] == 'away'
if claim[3] ~= ARGV[2] or (claim[4] ~= ARGV[5] and not still_closed) then
  redis.call('HSET', KEYS[2], 'since', string.format('%.0f', now))
end
if ARGV[14] ~= '' then
  redis.call('HSET', KEYS[2], 'nonce', ARGV[14])
end
redis.call('PEXPIRE', KEYS[2], string.format('%.0f', ttl + linger))
return { 1, missing }
