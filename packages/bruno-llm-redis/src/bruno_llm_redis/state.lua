-- Say what is taken of a limit; nothing is changed.
-- KEYS as in take.lua; ARGV: words: per window: name, span (us), limit
-- Returns words: leases, waiting processes, pause (us), then per window: limit, used, until some is free (us)
local H, L, Q = KEYS[1], KEYS[2], KEYS[3]
local function whole(number) return string.format('%.0f', number) end
local words = {}
for word in string.gmatch(ARGV[1], '%S+') do words[#words + 1] = word end
local t = redis.call('TIME')
local known = redis.call('HMGET', H, 'now', 'gate', 'closed')
local now = math.max(t[1] * 1000000 + t[2], tonumber(known[1] or 0))
local waiting = 0
for _, who in ipairs(redis.call('ZRANGE', Q, 0, -1)) do
  local deadline = string.match(redis.call('HGET', H, 'q:' .. who) or '0', '%d+')
  if tonumber(deadline) >= now then waiting = waiting + 1 end
end
local pause = math.max(0, tonumber(known[2] or 0) - now, tonumber(known[3] or 0) - now)
local reply = {redis.call('ZCOUNT', L, '(' .. whole(now), '+inf'), waiting, whole(pause)}
for i = 5, #KEYS do
  local a = (i - 5) * 3 + 1
  local name, limit, used, free_in = words[a], tonumber(words[a + 2]), 0, 0
  local facts = redis.call('HMGET', H, 'most:' .. name, 'until:' .. name)
  if facts[1] and tonumber(facts[2]) > now then limit = math.min(limit, tonumber(facts[1])) end
  local entries = redis.call('ZRANGEBYSCORE', KEYS[i], '(' .. whole(now), '+inf', 'WITHSCORES')
  for j = 1, #entries, 2 do
    local amount = tonumber(redis.call('HGET', H, name .. ':' .. entries[j]) or 0)
    if amount > 0 and free_in == 0 then free_in = tonumber(entries[j + 1]) - now end
    used = used + amount
  end
  for _, fact in ipairs({limit, used, free_in}) do reply[#reply + 1] = whole(fact) end
end
return table.concat(reply, ' ')
