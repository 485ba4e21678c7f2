-- Tell what became of places that one process has taken, and what the vendor said.
-- KEYS as in take.lua, but for the windows: minutes of requests and of tokens, days of requests
-- Returns nothing
-- ARGV: words: 1 the state that the process knows (-: none), 2 length of a lease (us), 3 of a minute,
--       4 of a day, then any of
--       'gone' lease | 'holds' lease | 'used' window bucket amount | 'gate' us | 'leave' who
--       | 'lower' window most remaining reset (us) limit; -1 is not known
local H, L, Q = KEYS[1], KEYS[2], KEYS[3]
local function whole(number) return string.format('%.0f', number) end
local words = {}
for word in string.gmatch(ARGV[1], '%S+') do words[#words + 1] = word end
local t = redis.call('TIME')
local known = redis.call('HMGET', H, 'now', 'state')
local now = math.max(t[1] * 1000000 + t[2], tonumber(known[1] or 0))
local keys = {rpm = KEYS[5], tpm = KEYS[6], rpd = KEYS[7]}
local spans = {rpm = tonumber(words[3]), tpm = tonumber(words[3]), rpd = tonumber(words[4])}

local function add(name, ends, amount)
  local grain = spans[name] / 1024
  local bucket = math.ceil((ends - spans[name]) / grain)
  redis.call('HINCRBY', H, name .. ':' .. whole(bucket), whole(amount))
  redis.call('HINCRBY', H, 'used:' .. name, whole(amount))
  redis.call('ZADD', keys[name], whole(bucket * grain + spans[name]), whole(bucket))
end

local i = 5
while i <= #words do
  local what = words[i]
  if what == 'gone' then
    redis.call('ZREM', L, words[i + 1])
    i = i + 2
  elseif what == 'holds' then
    redis.call('ZADD', L, whole(now + tonumber(words[2])), words[i + 1])
    i = i + 2
  elseif what == 'leave' then
    redis.call('ZREM', Q, words[i + 1])
    redis.call('HDEL', H, 'q:' .. words[i + 1])
    i = i + 2
  elseif what == 'gate' then
    local gate = now + tonumber(words[i + 1])
    if gate > tonumber(redis.call('HGET', H, 'gate') or 0) then redis.call('HSET', H, 'gate', whole(gate)) end
    i = i + 2
  elseif what == 'used' then
    local name, bucket, amount = words[i + 1], words[i + 2], tonumber(words[i + 3])
    if amount > 0 then
      add(name, now + spans[name], amount)
    elseif words[1] == known[2] then -- else what it gives back is not in this state
      local field = name .. ':' .. bucket
      local back = math.min(-amount, tonumber(redis.call('HGET', H, field) or 0))
      if back > 0 then
        redis.call('HINCRBY', H, field, whole(-back))
        redis.call('HINCRBY', H, 'used:' .. name, whole(-back))
      end
    end
    i = i + 4
  else
    local name, most, remaining, reset = words[i + 1], tonumber(words[i + 2]), tonumber(words[i + 3]), tonumber(words[i + 4])
    if most > 0 then redis.call('HSET', H, 'most:' .. name, whole(most), 'until:' .. name, whole(now + 300000000)) end
    local limit = most > 0 and most or tonumber(words[i + 5])
    limit = math.min(limit, tonumber(words[i + 5]))
    local unseen = limit - tonumber(redis.call('HGET', H, 'used:' .. name) or 0) - remaining
    if remaining >= 0 and reset > 0 and unseen > 0 then add(name, now + math.min(reset, spans[name]), unseen) end
    i = i + 6
  end
end
for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, 90000000) end
return ''
