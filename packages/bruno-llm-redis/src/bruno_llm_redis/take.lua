-- Take places of a limit for one process, and say how long to wait for the next.
-- KEYS: 1 hash, 2 leases, 3 queue of processes, 4 processes seen lately, then one per window
-- ARGV: 1 who asks, 2 length of a lease (us), 3 most at once (0: any), 4 the state that it knows,
--       5 and how many grants of it, then per window: name, span (us), limit;
--       then the number of its next lease, and the tokens of each request that waits
-- Returns: granted, wait (us), state, grants, processes, then per window: bucket, used, limit
local H, L, Q, P = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local me, lease, most = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local function whole(number) return string.format('%.0f', number) end

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local known = redis.call('HMGET', H, 'now', 'state', 'grants', 'closed')
local last, state, grants, closed = tonumber(known[1] or 0), known[2], tonumber(known[3] or 0), tonumber(known[4] or 0)
-- a restart without its data, a failover to a replica that lacks some, or a clock set back
local set_back = last > now + 60000000
local lost = ARGV[4] ~= '' and (ARGV[4] ~= state or grants < tonumber(ARGV[5])) or set_back
if not state then state = whole(now) .. me end
if lost then grants = math.max(grants, tonumber(ARGV[5])) end
if last > now and not set_back then now = last end -- time never goes back
if lost and most > 0 and closed < now + lease / 2 then
  closed = now + lease / 2 -- until all that hold a place have told of it again
end

local function add(name, Z, bucket, ends, amount)
  redis.call('HINCRBY', H, name .. ':' .. bucket, amount)
  redis.call('ZADD', Z, whole(ends), bucket)
end
local windows = {}
for i = 5, #KEYS do
  local a = 6 + (i - 5) * 3
  local w = {name = ARGV[a], span = tonumber(ARGV[a + 1]), limit = tonumber(ARGV[a + 2]), Z = KEYS[i]}
  local facts = redis.call('HMGET', H, 'used:' .. w.name, 'most:' .. w.name, 'until:' .. w.name)
  w.used = tonumber(facts[1] or 0)
  if facts[2] and tonumber(facts[3]) > now then w.limit = math.min(w.limit, tonumber(facts[2])) end
  local gone = redis.call('ZRANGEBYSCORE', w.Z, '-inf', set_back and '+inf' or whole(now), 'LIMIT', 0, 4000)
  if #gone > 0 then
    local fields = {}
    for j = 1, #gone do fields[j] = w.name .. ':' .. gone[j] end
    local amounts = redis.call('HMGET', H, unpack(fields))
    for j = 1, #amounts do w.used = w.used - tonumber(amounts[j] or 0) end
    redis.call('HDEL', H, unpack(fields))
    redis.call('ZREM', w.Z, unpack(gone))
  end
  local grain = w.span / 1024
  w.bucket = whole(math.ceil(now / grain))
  w.ends = math.ceil(now / grain) * grain + w.span
  if lost and w.used < w.limit then -- what was lost may be all of it
    add(w.name, w.Z, w.bucket, w.ends, whole(w.limit - w.used))
    w.used = w.limit
  end
  windows[i - 4] = w
end
redis.call('ZREMRANGEBYSCORE', L, '-inf', whole(now))
redis.call('ZADD', P, whole(now), me)
redis.call('ZREMRANGEBYSCORE', P, '-inf', whole(now - 60000000))

-- Places are left for those ahead that have asked again in time.
local ahead, tokens_ahead, waits = 0, 0, false
for _, other in ipairs(redis.call('ZRANGE', Q, 0, -1)) do
  if other == me then waits = true break end
  local deadline, tokens = string.match(redis.call('HGET', H, 'q:' .. other) or '0 0', '(%d+) (%d+)')
  if tonumber(deadline) < now then
    redis.call('ZREM', Q, other)
    redis.call('HDEL', H, 'q:' .. other)
  else
    ahead, tokens_ahead = ahead + 1, tokens_ahead + tonumber(tokens)
  end
end

-- Where others wait, one gets an eighth of its share at once, so that all have their turns.
local others = redis.call('ZCARD', Q) - (waits and 1 or 0)
local first = 7 + #windows * 3
local free = most > 0 and most - redis.call('ZCARD', L) - ahead or math.huge
local paused = math.max(0, closed - now, tonumber(redis.call('HGET', H, 'gate') or 0) - now)
local granted, taken, wait = 0, 0, 0

local function wait_for(w, amount)
  local before = w.name == 'tpm' and tokens_ahead or ahead
  local excess = w.used + before + math.min(amount, w.limit) - w.limit
  if excess > 0 then
    local ends = w.ends
    for _, bucket in ipairs(redis.call('ZRANGE', w.Z, 0, 127)) do
      excess = excess - tonumber(redis.call('HGET', H, w.name .. ':' .. bucket) or 0)
      ends = tonumber(bucket) * w.span / 1024 + w.span
      if excess <= 0 then break end
    end
    return math.max(ends - now, 1000)
  end
  return amount > w.limit and w.used + before > 0 and 250000 or 0
end

for j = first, #ARGV do
  local tokens = tonumber(ARGV[j])
  wait = paused
  if free <= 0 then wait = math.max(wait, 20000) end
  for _, w in ipairs(windows) do
    local amount = w.name == 'tpm' and tokens or 1
    wait = math.max(wait, wait_for(w, amount))
    local so_far = w.name == 'tpm' and taken + tokens or granted + 1
    if granted > 0 and others > 0 and so_far * 8 * (others + 1) > w.limit then wait = math.max(wait, 1000) end
  end
  if granted > 0 and others > 0 and most > 0 and (granted + 1) * 8 * (others + 1) > most then wait = math.max(wait, 1000) end
  if wait > 0 then break end
  granted, taken, free = granted + 1, taken + tokens, free - 1
  for _, w in ipairs(windows) do w.used = w.used + (w.name == 'tpm' and tokens or 1) end
  if most > 0 then redis.call('ZADD', L, whole(now + lease), me .. ':' .. whole(ARGV[first - 1] + granted - 1)) end
end
grants = grants + granted
for _, w in ipairs(windows) do
  local amount = w.name == 'tpm' and taken or granted
  if amount > 0 then add(w.name, w.Z, w.bucket, w.ends, whole(amount)) end
end
if waits and (granted > 0 or wait == 0) then redis.call('ZREM', Q, me) end
if wait > 0 then
  if granted > 0 or not waits then redis.call('ZADD', Q, redis.call('HINCRBY', H, 'tickets', 1), me) end
  local deadline = whole(now + math.min(wait, 250000) + 2000000)
  redis.call('HSET', H, 'q:' .. me, deadline .. ' ' .. whole(ARGV[first + granted]))
elseif waits then
  redis.call('HDEL', H, 'q:' .. me)
end
local facts = {'now', whole(now), 'state', state, 'grants', whole(grants), 'closed', whole(closed)}
for _, w in ipairs(windows) do
  facts[#facts + 1] = 'used:' .. w.name
  facts[#facts + 1] = whole(w.used)
end
redis.call('HSET', H, unpack(facts))
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 90000000) end
local reply = {granted, math.ceil(wait), state, grants, redis.call('ZCARD', P)}
for _, w in ipairs(windows) do
  reply[#reply + 1] = w.bucket
  reply[#reply + 1] = w.used
  reply[#reply + 1] = w.limit
end
return reply
