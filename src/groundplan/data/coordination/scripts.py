"""What coordination asks of the server in one step each, as Lua, by the server's clock."""

_CLOCK = """
local function microseconds()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end
"""

_COUNTED = """
local function counted(key, part, parts)
  local all, sum = {}, 0
  local found = redis.call('HGETALL', key)
  for at = 1, #found, 2 do
    local this, amount = tonumber(found[at]), tonumber(found[at + 1])
    if this < part - parts then
      redis.call('HDEL', key, found[at])
    else
      all[#all + 1] = {this, amount}
      sum = sum + amount
    end
  end
  table.sort(all, function(one, other) return one[1] < other[1] end)
  return all, sum
end

local function add(key, part, parts, length, amount)
  redis.call('HINCRBY', key, string.format('%.0f', part), amount)
  redis.call('PEXPIRE', key, math.ceil(length * (parts + 2) / 1000))
end

local function answer(now, all)
  local flat = {string.format('%.6f', now)}
  for _, each in ipairs(all) do
    flat[#flat + 1] = string.format('%.0f', each[1])
    flat[#flat + 1] = each[2]
  end
  return flat
end
"""
"""The parts of a window that still count, oldest first."""

TAKE = f"""{_CLOCK}{_COUNTED}
local limit, length, parts, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = microseconds() / length
local part = math.floor(now)
local all, sum = counted(KEYS[1], part, parts)
if cost <= limit - sum then add(KEYS[1], part, parts, length, cost) end
return answer(now, all)
"""
"""Key: subject. ``length`` is that of a part, in microseconds. Answers the time in parts, then parts and what had been
taken in each: from that, whoever asked decides as it was decided here."""

RECORD = f"""{_CLOCK}{_COUNTED}
local clock, parts, answers = microseconds(), tonumber(ARGV[1]), {{}}
for at, key in ipairs(KEYS) do
  local length, amount = tonumber(ARGV[2 * at]), tonumber(ARGV[2 * at + 1])
  local now = clock / length
  if amount > 0 then add(key, math.floor(now), parts, length, amount) end
  answers[at] = answer(now, (counted(key, math.floor(now), parts)))
end
return answers
"""
"""Keys: subjects; of each the length of a part and what was given. Answers as ``TAKE`` does, for each."""

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
