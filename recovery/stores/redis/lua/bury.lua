-- Deletes a session that expire.lua granted.
--
-- KEYS[1]  the session key, a string
-- KEYS[2]  its claim key, a hash: see save.lua
-- ARGV[1]  claim number
-- ARGV[2]  it is known to have expired for so many ms more
-- reply    1; 0 under another claim number, with nothing changed

if tonumber(redis.call('HGET', KEYS[2], 'n')) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return 1
