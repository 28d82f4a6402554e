-- Shared by open.lua, append.lua, forward.lua and renew.lua, which are loaded with this in front: the identity of
-- the stream, and ids that never go backwards.
--
-- The epoch key is a hash:
--   id    the epoch, a random name of this stream
--   last  id of the last entry that these scripts know of; it outlives the stream
--   at    id of the entry with which the epoch began; absent if somebody else made the stream

-- Milliseconds since 1970 on the server's clock.
local function clock()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- The id that follows `id`. Numbers of Lua are exact up to 2^53 only.
local function following(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  if tonumber(seq) < 9007199254740991 then
    return string.format('%s-%.0f', ms, tonumber(seq) + 1)
  end
  return string.format('%.0f-0', tonumber(ms) + 1)
end

-- Appends one entry, with an id above `last` (false: unknown), and returns the id.
local function add(stream, last, now, fields)
  if last and now <= tonumber(string.match(last, '^%d+')) then
    -- The clock went back, or this is the same millisecond: '*' is above what the stream holds,
    -- but not above an entry that was lost with the stream.
    local id = redis.pcall('XADD', stream, following(last), unpack(fields))
    if type(id) == 'string' then
      return id
    end
    -- A program without these scripts (Node) has added a higher id, so that '*' is above both.
  end
  return redis.call('XADD', stream, '*', unpack(fields))
end

-- Appends entries, each {name, value, ...}. Returns their ids, the last one once more.
local function add_all(stream, last, now, entries)
  local ids = {}
  for i, fields in ipairs(entries) do
    last = add(stream, last, now, fields)
    ids[i] = last
  end
  return ids, last
end

-- Makes sure that the stream has an entry and an epoch; returns the epoch and the last id known.
local function ensure(stream, epoch_key, candidate, now)
  local known = redis.call('HMGET', epoch_key, 'id', 'last')
  local epoch, last = known[1], known[2]
  if redis.call('XLEN', stream) == 0 then
    local begins = not epoch or redis.call('EXISTS', stream) == 0
    if begins then
      epoch = candidate
    end
    last = add(stream, last, now, { 'epoch', epoch })
    redis.call('HSET', epoch_key, 'id', epoch, 'last', last)
    if begins then
      redis.call('HSET', epoch_key, 'at', last)
    end
  elseif not epoch then
    epoch = candidate
    redis.call('HSET', epoch_key, 'id', epoch)
  end
  return epoch, last
end

local function is_above(id, other)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  local other_ms, other_seq = string.match(other, '^(%d+)-(%d+)$')
  ms, seq, other_ms, other_seq = tonumber(ms), tonumber(seq), tonumber(other_ms), tonumber(other_seq)
  return ms > other_ms or (ms == other_ms and seq > other_seq)
end

-- The id of the newest entry at or before `id`, nil if there is none. To look for that where there is none, Redis
-- would go through the whole stream.
local function newest_upto(stream, id)
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  if not oldest or is_above(oldest[1], id) then
    return nil
  end
  return redis.call('XREVRANGE', stream, id, '-', 'COUNT', 1)[1][1]
end

-- Whether an older entry is where that one should be: a failover lost it. It is nearly always there, and to look for
-- itself costs less than to look for the newest before it.
local function has_lost(stream, known)
  return #redis.call('XRANGE', stream, known, known) == 0 and newest_upto(stream, known) ~= nil
end

-- Appends an entry that names an epoch, with an id above `lost`; returns the epoch and the id.
local function renew(stream, epoch_key, epoch, now, lost)
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1][1]
  local id = add(stream, is_above(last, lost) and last or lost, now, { 'epoch', epoch })
  redis.call('HSET', epoch_key, 'id', epoch, 'last', id, 'at', id)
  return epoch, id
end

-- Trims what is older than `cutoff`, and caps; returns 1 if a young entry was trimmed, else 0. The newest of
-- the old entries stays: it proves that nothing after it was trimmed.
local function trim(stream, cutoff, max_len)
  local newest_old = cutoff > 0 and newest_upto(stream, string.format('%.0f-18446744073709551615', cutoff))
  if newest_old then
    redis.call('XTRIM', stream, 'MINID', newest_old)
  end
  if max_len >= 0 and redis.call('XTRIM', stream, 'MAXLEN', '~', max_len) > 0 then
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
    if not first or tonumber(string.match(first[1], '^%d+')) > cutoff then
      return 1
    end
  end
  return 0
end
