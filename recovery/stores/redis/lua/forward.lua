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
-- ARGV[7]  {entry ...}, each {name, value, ...}
-- reply    {1 if done else 0, position, id of the last entry or 0-0, 1 if a young entry was trimmed else 0}

local stream, epoch_key, position_key = KEYS[1], KEYS[2], KEYS[3]
local before, upto, retention, max_len, known, entries = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]

local position = redis.call('GET', position_key)
if position and position ~= before then
  return { 0, position, '0-0', 0 }
end

local now = clock()
local epoch, last = ensure(stream, epoch_key, ARGV[1], now)
if #entries == 0 then
  redis.call('SET', position_key, upto)
  return { 1, upto, '0-0', 0 }
end
if has_lost(stream, known) then -- nobody may take what follows for the next
  epoch, last = renew(stream, epoch_key, ARGV[1], now, known)
end
local _
_, last = add_all(stream, last, now, entries)
redis.call('HSET', epoch_key, 'last', last)
redis.call('SET', position_key, upto)
return { 1, upto, last, trim(stream, now - retention, max_len) }
