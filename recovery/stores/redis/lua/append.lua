-- Appends a batch of entries, once, and trims what is too old. Loaded after stream.lua.
--
-- KEYS[1]  the stream
-- KEYS[2]  its epoch key
-- KEYS[3]  the producer's key, a hash: first, last (sequence numbers of the last batch), epoch, cut,
--          ids (space-separated), so that a repeat of that batch gets the same reply
-- ARGV[1]  epoch to take if there is none, or if the stream is gone
-- ARGV[2]  sequence number of the first entry
-- ARGV[3]  retention in ms
-- ARGV[4]  most entries to keep, -1 for no limit
-- ARGV[5]  the producer's key expires after so many ms
-- ARGV[6]  id of an entry that the stream has had, 0-0 for none
-- ARGV[7]  {entry ...}, each {name, value, ...}
-- reply    {epoch, 1 if a young entry was trimmed else 0, space-separated id of each entry}
-- error    STRAGGLER: a later batch was stored already; nothing was stored

local stream, epoch_key, producer = KEYS[1], KEYS[2], KEYS[3]
local sequence, retention, max_len, known, entries = ARGV[2], ARGV[3], ARGV[4], ARGV[6], ARGV[7]
local final = sequence + #entries - 1

local before = redis.call('HMGET', producer, 'first', 'last', 'epoch', 'cut', 'ids')
if before[1] and sequence <= tonumber(before[2]) then
  if sequence == tonumber(before[1]) and final == tonumber(before[2]) then
    return { before[3], tonumber(before[4]), before[5] }
  end
  return redis.error_reply('STRAGGLER batch ' .. before[1] .. ' to ' .. before[2] .. ' was stored before')
end

local now = clock()
local epoch, last = ensure(stream, epoch_key, ARGV[1], now)
if has_lost(stream, known) then -- nobody may take what follows for the next
  epoch, last = renew(stream, epoch_key, ARGV[1], now, known)
end
local ids
ids, last = add_all(stream, last, now, entries)
redis.call('HSET', epoch_key, 'last', last)

local cut = trim(stream, now - retention, max_len)
ids = table.concat(ids, ' ')
redis.call('HSET', producer, 'first', sequence, 'last', final,
  'epoch', epoch, 'cut', cut, 'ids', ids)
redis.call('PEXPIRE', producer, ARGV[5])
return { epoch, cut, ids }
