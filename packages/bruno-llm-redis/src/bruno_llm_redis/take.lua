-- Take places of a limit for one process, and say how long to wait for the next.
-- KEYS: 1 hash, 2 leases, 3 queue of processes, 4 processes seen lately, then one per window
-- ARGV: words: 1 who asks, 2 length of a lease (us), 3 most at once (0: any), 4 the state that it
--       knows (-: none), 5 and how many grants of it, 6 whether it is to be seen (0, 1), then per
--       window: name, span (us), limit; then the number of its next lease, and the tokens of each
--       request that waits
-- Returns words: granted, wait (us), state, grants, processes, then per window: bucket, used
local H, L, Q, P = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local KEPT = 90000000 -- ms
local function whole(number) return string.format('%.0f', number) end

local words = {}
for word in string.gmatch(ARGV[1], '%S+') do words[#words + 1] = word end
local me, lease, most = words[1], tonumber(words[2]), tonumber(words[3])
local windows, fields = {}, {'now', 'state', 'grants', 'closed', 'gate', 'processes', 'kept', 'run'}
for i = 5, #KEYS do
  local a = 7 + (i - 5) * 3
  local name = words[a]
  windows[i - 4] = {name = name, span = tonumber(words[a + 1]), limit = tonumber(words[a + 2]), Z = KEYS[i]}
  for _, field in ipairs({'used:', 'most:', 'until:', 'bucket:'}) do fields[#fields + 1] = field .. name end
end

local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local known = redis.call('HMGET', H, unpack(fields))
local last, state, grants, closed = tonumber(known[1] or 0), known[2], tonumber(known[3] or 0), tonumber(known[4] or 0)
local gate, processes, kept = tonumber(known[5] or 0), known[6], tonumber(known[7] or 0)
-- a restart without its data, a failover to a replica that lacks some, or a clock set back
local set_back = last > now + 60000000
local lost = words[4] ~= '-' and (words[4] ~= state or grants < tonumber(words[5])) or set_back
if not state then state = whole(now) .. me end
if lost then grants = math.max(grants, tonumber(words[5])) end
if last > now and not set_back then now = last end -- time never goes back
if lost and most > 0 and closed < now + lease / 2 then
  closed = now + lease / 2 -- until all that hold a place have told of it again
end

local function add(w, amount)
  if redis.call('HINCRBY', H, w.name .. ':' .. w.bucket, whole(amount)) == amount then
    redis.call('ZADD', w.Z, whole(w.ends), w.bucket)
    if w.is_empty then redis.call('PEXPIRE', w.Z, KEPT) end
  end
end
for i, w in ipairs(windows) do
  local at = 9 + (i - 1) * 4
  w.used = tonumber(known[at] or 0)
  if known[at + 1] and tonumber(known[at + 2]) > now then w.limit = math.min(w.limit, tonumber(known[at + 1])) end
  local grain = w.span / 1024
  local bucket = math.ceil(now / grain)
  w.bucket, w.ends = whole(bucket), bucket * grain + w.span
  if set_back or known[at + 3] ~= w.bucket then -- else none has ended since
    local gone = redis.call('ZRANGEBYSCORE', w.Z, '-inf', set_back and '+inf' or whole(now), 'LIMIT', 0, 4000)
    if #gone > 0 then
      local ended = {}
      for j = 1, #gone do ended[j] = w.name .. ':' .. gone[j] end
      local amounts = redis.call('HMGET', H, unpack(ended))
      for j = 1, #amounts do w.used = w.used - tonumber(amounts[j] or 0) end
      redis.call('HDEL', H, unpack(ended))
      redis.call('ZREM', w.Z, unpack(gone))
    end
  end
  w.is_empty = w.used == 0
  if lost and w.used < w.limit then -- what was lost may be all of it
    add(w, w.limit - w.used)
    w.used = w.limit
  end
end
local run = known[8]
if words[6] == '1' or not processes then
  local info = redis.pcall('INFO', 'server')
  local here = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or run
  if run and run ~= here then -- it was started again, or is a replica that took over
    closed = math.max(closed, now + lease / 2) -- until all have told what they took meanwhile
  end
  run = here
  redis.call('ZADD', P, whole(now), me)
  redis.call('ZREMRANGEBYSCORE', P, '-inf', whole(now - 60000000))
  processes = redis.call('ZCARD', P)
end

-- Places are left for those ahead that have asked again in time.
local ahead, tokens_ahead, waits = 0, 0, false
local queue = redis.call('ZRANGE', Q, 0, -1)
local others = #queue
for _, other in ipairs(queue) do
  if other == me then
    waits, others = true, others - 1
    break
  end
  local deadline, tokens = string.match(redis.call('HGET', H, 'q:' .. other) or '0 0', '(%d+) (%d+)')
  if tonumber(deadline) < now then
    redis.call('ZREM', Q, other)
    redis.call('HDEL', H, 'q:' .. other)
    others = others - 1
  else
    ahead, tokens_ahead = ahead + 1, tokens_ahead + tonumber(tokens)
  end
end

-- Where others wait, one gets an eighth of its share at once, so that all have their turns.
local first = 8 + #windows * 3
local free, leases = math.huge, 0
if most > 0 then
  leases = redis.call('ZCARD', L)
  if leases + #words - first + 1 + ahead > most then
    redis.call('ZREMRANGEBYSCORE', L, '-inf', whole(now))
    leases = redis.call('ZCARD', L)
  end
  free = most - leases - ahead
end
local paused = math.max(0, closed - now, gate - now)
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

for j = first, #words do
  local tokens = tonumber(words[j])
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
  if most > 0 then redis.call('ZADD', L, whole(now + lease), me .. ':' .. whole(words[first - 1] + granted - 1)) end
end
grants = grants + granted
if granted > 0 and most > 0 and leases == 0 then redis.call('PEXPIRE', L, KEPT) end
for _, w in ipairs(windows) do
  local amount = w.name == 'tpm' and taken or granted
  if amount > 0 then add(w, amount) end
end
if waits and (granted > 0 or wait == 0) then redis.call('ZREM', Q, me) end
if wait > 0 then
  if granted > 0 or not waits then
    redis.call('ZADD', Q, redis.call('HINCRBY', H, 'tickets', 1), me)
    redis.call('PEXPIRE', Q, KEPT)
  end
  local deadline = whole(now + math.min(wait, 250000) + 2000000)
  redis.call('HSET', H, 'q:' .. me, deadline .. ' ' .. whole(words[first + granted]))
elseif waits then
  redis.call('HDEL', H, 'q:' .. me)
end
local is_due = now > kept + 60000000 or set_back
if is_due then kept = now end
local facts = {'now', whole(now), 'state', state, 'grants', whole(grants), 'closed', whole(closed),
  'processes', processes, 'kept', whole(kept), 'run', run or ''}
local reply = {whole(granted), whole(math.ceil(wait)), state, whole(grants), processes}
for _, w in ipairs(windows) do
  for _, fact in ipairs({'used:' .. w.name, whole(w.used), 'bucket:' .. w.name, w.bucket}) do facts[#facts + 1] = fact end
  reply[#reply + 1] = w.bucket
  reply[#reply + 1] = whole(w.used)
end
redis.call('HSET', H, unpack(facts))
if is_due then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, KEPT) end
end
return table.concat(reply, ' ')
