-- Takes over a session, if it exists and may be had. Deletes nothing; a refusal changes nothing.
--
-- KEYS[1]  the session key, a string
-- KEYS[2]  its claim key, a hash: see save.lua
-- ARGV[1]  namespace
-- ARGV[2]  identity
-- ARGV[3]  epoch
-- ARGV[4]  the claiming server
-- ARGV[5]  nonce of this attempt; its repeat gets the same answer
-- ARGV[6]  most bytes that the session may have, -1 for no limit
-- reply    {1, number, session, proven, holder, state, ms since the holder said so}
--          {0, reason}
--          {0, reason, what is wrong with what is stored}

local NUMBER, OFFSET, NAME = '^%d+$', '^%d+%-%d+$', '^[%w%p]+$'
local FIELDS = { 'n', 'state', 'deadline', 'nsp', 'identity', 'epoch', 'nonce', 'proven', 'holder', 'since' }
-- Longer numbers are none of ours: they would not be exact, nor come back as digits.
local FORMS = {
  { 1, NUMBER, 15 }, { 2, NAME, 7 }, { 3, NUMBER, 15 }, { 8, OFFSET, 41 }, { 9, NAME, 100 }, { 10, NUMBER, 15 },
  { 4, '', math.huge }, { 5, '', math.huge }, { 6, '', math.huge },
}
local STATES = { live = true, closing = true, away = true, ended = true }

local claim = redis.call('HMGET', KEYS[2], unpack(FIELDS))
if not claim[1] then
  return { 0, 'session-unknown' }
end
for _, form in ipairs(FORMS) do
  local value = claim[form[1]]
  local fits = value and #value <= form[3] and string.match(value, form[2])
  if not fits or (form[1] == 2 and not STATES[value]) then
    return { 0, 'session-unknown', 'the claim has no valid field ' .. FIELDS[form[1]] }
  end
end
local number = tonumber(claim[1])
if claim[2] == 'ended' then
  return { 0, 'disconnected' }
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local size = redis.call('STRLEN', KEYS[1])
if redis.call('EXISTS', KEYS[1]) == 0 or now > tonumber(claim[3]) then
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
if ARGV[6] >= 0 and size > ARGV[6] then
  return { 0, 'session-unknown', 'the session has ' .. size .. ' bytes, more than max_session_bytes' }
end
if claim[7] ~= ARGV[5] then
  number = number + 1
  redis.call('HSET', KEYS[2], 'n', number, 'owner', ARGV[4], 'nonce', ARGV[5],
    'claimed', string.format('%.0f', now))
end
return { 1, number, redis.call('GET', KEYS[1]), claim[8], claim[9], claim[2], math.max(0, now - tonumber(claim[10])) }
