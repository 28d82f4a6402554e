-- Reads entries, the oldest first; changes nothing, and does not wait. See back.lua.
--
-- KEYS[1]  the stream
-- ARGV[1]  id before the first one
-- ARGV[2]  at most so many
-- reply    {{id, {name, value, ...}} ...}

local found = redis.call('XREAD', 'COUNT', ARGV[2], 'STREAMS', KEYS[1], ARGV[1])
return found and found[1][2] or {}
