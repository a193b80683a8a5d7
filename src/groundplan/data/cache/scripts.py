"""What the cache asks of the server in one step each, as Lua.

An entry is a hash: ``v`` its value, ``f`` until when it is fresh (milliseconds of the server's clock), ``n`` the
number of its claim, ``m`` its tags. A lock holds the number of a claim and a word of its own. A scope is a sorted set
of tags by the number of their last invalidation, together with ``seq``, the last number given, and ``floor``: claims
up to it are outdated.
All of a scope is in one key, so that a server that evicts loses all of it or nothing; a new one starts above the old.
"""

_COMMON = """
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function next_number(scope)
  if not redis.call('ZSCORE', scope, 'floor') then
    local t = redis.call('TIME')
    local start = string.format('%.0f', t[1] * 1000000 + t[2])
    redis.call('ZADD', scope, start, 'floor', start, 'seq')
  end
  redis.call('PEXPIRE', scope, 604800000)
  return tonumber(redis.call('ZINCRBY', scope, 1, 'seq'))
end

local function number_of(held)
  return held and tonumber(string.match(held, '^%d+'))
end

local function is_current(scope, number, tags)
  local members = {'floor'}
  for tag in string.gmatch(tags, '%S+') do members[#members + 1] = tag end
  local scores = redis.call('ZMSCORE', scope, unpack(members))
  if not scores[1] then return false end
  for at = 1, #members do
    if scores[at] and tonumber(scores[at]) >= number then return false end
  end
  return true
end

local function read(entry, scope)
  local found = redis.call('HMGET', entry, 'v', 'f', 'n', 'm')
  if not found[1] or not is_current(scope, tonumber(found[3]), found[4]) then return nil end
  return {found[1], tonumber(found[2]) - now(), found[4]}
end
"""

GET = f"""{_COMMON}
return read(KEYS[1], KEYS[2]) or false
"""
"""Keys: entry, scope. Answers value, milliseconds left, tags; or nothing."""

CLAIM = f"""{_COMMON}
local entry, lock, scope, lease, tags = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), ARGV[2]
local kept = read(entry, scope)
if kept and kept[2] > 0 then return kept end
local held = number_of(redis.call('GET', lock))
if held and is_current(scope, held, tags) then return 0 end
local number = next_number(scope)
redis.call('SET', lock, string.format('%.0f', number) .. ' ' .. ARGV[3], 'PX', lease)
return number
"""
"""Keys: entry, lock, scope. Answers as GET does, or the number of the claim, or 0 while another fills."""

STAMP = f"""{_COMMON}
return next_number(KEYS[1])
"""
"""Key: scope. Answers the number of a claim."""

KEEP = f"""{_COMMON}
local entry, lock, scope, number, tags = KEYS[1], KEYS[2], KEYS[3], tonumber(ARGV[1]), ARGV[2]
if number_of(redis.call('GET', lock)) == number then redis.call('DEL', lock) end
if not is_current(scope, number, tags) then return 0 end
local before = redis.call('HGET', entry, 'n')
if before and tonumber(before) > number then return 0 end
redis.call('HSET', entry, 'v', ARGV[3], 'f', string.format('%.0f', now() + ARGV[4]), 'n', ARGV[1], 'm', tags)
redis.call('PEXPIRE', entry, ARGV[5])
return 1
"""
"""Keys: entry, lock, scope. Answers whether it was kept."""

RELEASE = f"""{_COMMON}
local held = redis.call('GET', KEYS[1])
if held and (number_of(held) == tonumber(ARGV[1]) or string.match(held, '%S+$') == ARGV[1]) then
  redis.call('DEL', KEYS[1])
end
"""
"""Key: lock. Ends it by its number, or by its word where nobody learnt the number."""

INVALIDATE = f"""{_COMMON}
local scope, channel, most = KEYS[1], ARGV[1], tonumber(ARGV[2])
local number = string.format('%.0f', next_number(scope))
if #ARGV == 2 then
  redis.call('DEL', scope)
  redis.call('ZADD', scope, number, 'floor', number, 'seq')
end
for at = 3, #ARGV do redis.call('ZADD', scope, number, ARGV[at]) end
next_number(scope)
local over = redis.call('ZCARD', scope) - 2 - most
if over > 0 then
  local oldest = redis.call('ZRANGE', scope, over, over, 'WITHSCORES')
  redis.call('ZREMRANGEBYRANK', scope, 1, over)
  redis.call('ZADD', scope, oldest[2], 'floor')
end
redis.call('PUBLISH', channel, table.concat(ARGV, ' ', 3))
"""
"""Key: scope. Of the oldest tags more than ``most`` are forgotten, and what is as old as they are with them."""
