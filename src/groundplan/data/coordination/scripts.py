"""What coordination asks of the server in one step each, as Lua, by the server's clock."""

_CLOCK = """
local function microseconds()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
"""

TAKE = f"""{_CLOCK}
local limit, length, parts, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = microseconds() / length
local part = math.floor(now)
local counted, free = {{}}, limit
local found = redis.call('HGETALL', KEYS[1])
for at = 1, #found, 2 do
  local this, amount = tonumber(found[at]), tonumber(found[at + 1])
  if this < part - parts then
    redis.call('HDEL', KEYS[1], found[at])
  else
    counted[#counted + 1] = {{this, amount}}
    free = free - amount
  end
end
local answer = {{string.format('%.6f', now)}}
if cost <= free then
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', part), cost)
  redis.call('PEXPIRE', KEYS[1], math.ceil(length * (parts + 2) / 1000))
end
table.sort(counted, function(one, other) return one[1] < other[1] end)
for _, each in ipairs(counted) do
  answer[#answer + 1] = string.format('%.0f', each[1])
  answer[#answer + 1] = each[2]
end
return answer
"""
"""Key: subject. ``length`` is that of a part, in microseconds. Answers the time in parts, then parts and what had been
taken in each: from that, whoever asked decides as it was decided here."""

ACQUIRE = f"""{_CLOCK}
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local token = redis.call('INCR', KEYS[2])
if token == 1 then
  token = microseconds()
  redis.call('SET', KEYS[2], string.format('%.0f', token))
end
redis.call('SET', KEYS[1], string.format('%.0f', token), 'PX', ARGV[1])
return token
"""
"""Keys: lock, the last token of all. A server that lost that one goes on with its clock, which is far above it."""

RENEW = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
"""

COUNT = """
if ARGV[1] == '0' then return tonumber(redis.call('GET', KEYS[1]) or 0) end
local value = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return value
"""
