-- Appends entries of another stream, once, and notes how far that one has been carried over. Loaded after
-- stream.lua.
--
-- KEYS[1]  the stream
-- KEYS[2]  its epoch key
-- KEYS[3]  the bridge's position, a string: an id of the other stream
-- ARGV[1]  epoch to take if there is none, or if the stream is gone
-- ARGV[2]  the position as the caller knows it, "" if it does not
-- ARGV[3]  the position afterwards
-- ARGV[4]  retention in ms
-- ARGV[5]  most entries to keep, -1 for no limit
-- ARGV[6]  id of an entry that the stream has had, 0-0 for none
-- ARGV[7]  number of entries, N
-- ARGV[8]  N times: number of arguments (names and values), then these
-- reply    {1 if done else 0, position, id of the last entry or 0-0, 1 if a young entry was trimmed else 0}

local stream, epoch_key, position_key = KEYS[1], KEYS[2], KEYS[3]
local before, upto, retention, max_len = ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local known, count = ARGV[6], tonumber(ARGV[7])

local position = redis.call('GET', position_key)
if position and position ~= before then
  return { 0, position, '0-0', 0 }
end

local now = clock()
local epoch, last = ensure(stream, epoch_key, ARGV[1], now)
if count == 0 then
  redis.call('SET', position_key, upto)
  return { 1, upto, '0-0', 0 }
end
if has_lost(stream, known) then -- nobody may take what follows for the next
  epoch, last = renew(stream, epoch_key, ARGV[1], now, known)
end
local _
_, last = add_all(stream, last, now, 8, count)
redis.call('HSET', epoch_key, 'last', last)
redis.call('SET', position_key, upto)
return { 1, upto, last, trim(stream, now - retention, max_len) }
