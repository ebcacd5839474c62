-- The law of the refresh, as law.py has it, on the clock of Redis. One hash, one call, one step.
--
-- KEYS[1]  a hash: id, sealed, ends, life, gen, owner, locked, held, failures, refused, at (milliseconds).
-- ARGV     step, owner, then the times in ms: lock, apart, most wait, most Retry-After, refused, most life; then
--          claim   known token or '', 1 if it was rejected
--          settle  id, sealed, ends, life, rejected token or '', jitter in thousandths
--          fail    least wait or -1, jitter in thousandths
-- Reply    claim and settle: {1, ms left, life, gen, id, sealed} for a token; {2, ms} locked, {3, ms} held,
--          {4, now} granted; {0} when nothing is stored after settle. fail: {ms}, the pause.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local step, owner = ARGV[1], ARGV[2]
local lock, apart, most_wait, most_retry, refusal, most_life =
  tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local raw = redis.pcall('HGETALL', KEYS[1])
if raw.err then -- something else stands there: not ours
  redis.call('DEL', KEYS[1])
  raw = {}
end
local found = {}
for i = 1, #raw, 2 do
  found[raw[i]] = raw[i + 1]
end
local function number(name, least, most)
  local text = found[name] or ''
  local value = #text <= 15 and string.match(text, '^%d+$') and tonumber(text) or 0
  return value >= least and value <= most and value or 0
end

local s = {gen = number('gen', 0, 1e15), failures = number('failures', 0, 16), at = number('at', 0, 1e15)}
if now + 1000 < s.at then -- the clock was set back: nothing it measured is believed
  s = {gen = s.gen, failures = 0, at = 0, ends = 0, locked = 0, held = 0, refused = 0, owner = ''}
else
  s.id, s.sealed, s.life = found.id, found.sealed, number('life', 1, most_life)
  s.ends = number('ends', now + 1, now + most_life)
  s.locked = number('locked', now + 1, now + lock)
  s.held = number('held', now + 1, now + most_retry)
  s.refused = number('refused', now + 1, now + refusal)
  s.owner = s.locked > 0 and found.owner or ''
end
if s.ends == 0 or not s.id or not s.sealed or s.life == 0 then
  s.id, s.sealed, s.ends, s.life = '', '', 0, 0
end
local mine = s.owner == owner

local function unlock()
  s.owner, s.locked, s.at = '', 0, now
end
local function failed(wait, jitter)
  s.failures = math.min(s.failures + 1, 16)
  local pause = math.min(apart * 2 ^ (s.failures - 1), most_wait)
  pause = math.max(pause + math.floor(pause * jitter / 1000), math.min(wait, most_retry))
  unlock()
  s.held = now + pause
end
local function save()
  local last = math.max(now, s.ends, s.locked, s.held, s.refused)
  local fields = {'id', s.id, 'sealed', s.sealed, 'owner', s.owner}
  for _, name in ipairs({'ends', 'life', 'gen', 'locked', 'held', 'failures', 'refused', 'at'}) do
    fields[#fields + 1] = name
    fields[#fields + 1] = string.format('%.0f', s[name])
  end
  redis.call('HSET', KEYS[1], unpack(fields))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', last - now + 60000))
end
local function stored()
  if s.ends == 0 then
    return {0}
  end
  return {1, s.ends - now, s.life, s.gen, s.id, s.sealed}
end

if step == 'claim' then
  local known, rejected = ARGV[9], ARGV[10] == '1'
  if s.ends > 0 and s.id ~= known then
    return stored()
  end
  local held = s.held
  if rejected and s.ends > 0 then
    held = math.max(s.failures > 0 and held or 0, s.refused)
  end
  if held > 0 then
    return {3, held - now}
  end
  if s.locked > 0 and not mine then
    return {2, s.locked - now}
  end
  s.owner, s.locked, s.at = owner, now + lock, now
  save()
  return {4, now}
end

if step == 'settle' then
  local id, ends, rejected = ARGV[9], tonumber(ARGV[11]), ARGV[13]
  local there = s.ends > 0
  local replaces = there and s.id == rejected and mine
  if now < ends and (not there or (s.id ~= id and (ends > s.ends or replaces))) then
    s.id, s.sealed, s.ends, s.life = id, ARGV[10], ends, tonumber(ARGV[12])
    s.gen, s.at = math.max(s.gen + 1, now), now
    if mine then
      unlock()
      s.held, s.failures = now + apart, 0
      if replaces then
        s.refused = now + refusal
      end
    end
    save()
  elseif mine then
    failed(0, tonumber(ARGV[14]))
    save()
  end
  return stored()
end

if not mine then
  return {math.max(0, s.held - now)}
end
if tonumber(ARGV[9]) < 0 then
  unlock()
  save()
  return {0}
end
failed(tonumber(ARGV[9]), tonumber(ARGV[10]))
save()
return {s.held - now}
