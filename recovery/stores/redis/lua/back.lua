-- Reads entries, the newest first; changes nothing. A script because of what its reply costs: see decision 44.
--
-- KEYS[1]  the stream
-- ARGV[1]  id of the first one, or an id after it
-- ARGV[2]  at most so many
-- reply    {{id, {name, value, ...}} ...}

return redis.call('XREVRANGE', KEYS[1], ARGV[1], '-', 'COUNT', ARGV[2])
