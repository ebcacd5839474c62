-- One caller's bucket, one call: spend the costs that fit, and lease units on top.
--
-- KEYS[1]  a hash: `t`, the instant (microseconds, Redis' clock) at which the quota is whole again, and one field a
--          live lease, `units:end`.
-- ARGV     time of a unit (us), burst, life of a lease (us), time in which the quota would be whole had this instance
--          alone admitted anything (us), closed lease or '', its unspent units, new lease, units wanted for it, then the
--          costs in order; a negative cost is a charge, and takes what is left.
-- Reply    units spent, units leased, how far ahead of an empty quota the caller then is (us).
--
-- Leased units are spent at once, yet may be used until the lease ends. So until then they count as part of the full
-- bucket, too: it does not fill beyond burst - held. That is what keeps the law exact while leases are out.
--
-- What one instance has admitted is part of what all have. So its own account never says less than this one, but where
-- this one was lost, or was not asked for a while: then it learns from it.
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local unit, burst, life = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

local fields = redis.pcall('HGETALL', KEYS[1])
if fields.err then -- something else stands there: not ours
  redis.call('DEL', KEYS[1])
  fields = {}
end
local whole, held, leases, ended = 0, 0, {}, {}
for i = 1, #fields, 2 do
  if fields[i] == 't' then
    whole = tonumber(fields[i + 1]) or 0
  else
    local units, till = string.match(fields[i + 1], '^(%d+):(%d+)$')
    if units then
      held = held + tonumber(units)
      leases[#leases + 1] = {id = fields[i], units = tonumber(units), till = tonumber(till)}
    else
      ended[#ended + 1] = fields[i]
    end
  end
end

-- In the order in which they end, because each end lets the bucket fill higher. One that ends later than any lease can
-- was made before the clock was set back.
table.sort(leases, function(a, b) return a.till < b.till end)
local last = now
for _, lease in ipairs(leases) do
  local closed = lease.id == ARGV[5]
  if closed or lease.till <= now or lease.till > now + life then
    whole = math.max(whole, math.min(lease.till, now) + held * unit)
    held = held - lease.units
    ended[#ended + 1] = lease.id
    if closed and lease.till > now then
      whole = whole - math.min(tonumber(ARGV[6]), lease.units) * unit
    end
  else
    last = math.max(last, lease.till)
  end
end
whole = math.max(whole, now + held * unit, now + tonumber(ARGV[4]))
local back = whole > now + burst * unit -- only if the clock was set
if back then
  whole = now + burst * unit
end

local left = math.floor((now + burst * unit - whole) / unit)
local spent = 0
for i = 9, #ARGV do
  local cost = tonumber(ARGV[i])
  if cost < 0 then
    cost = math.min(-cost, left)
  end
  if cost <= left then
    spent, left = spent + cost, left - cost
  end
end
-- A quarter at most: other instances need some. Fewer than 8 are not worth a lease, so small limits have none.
local leased = math.min(tonumber(ARGV[8]), math.floor(left / 4))
if leased < 8 then
  leased = 0
end

if spent + leased > 0 or #ended > 0 or back then
  whole = whole + (spent + leased) * unit
  if #ended > 0 then
    redis.call('HDEL', KEYS[1], unpack(ended))
  end
  if leased > 0 then
    last = now + life
    redis.call('HSET', KEYS[1], ARGV[7], string.format('%d:%.0f', leased, last))
  end
  if math.max(whole, last) > now then
    redis.call('HSET', KEYS[1], 't', string.format('%.0f', whole))
    redis.call('PEXPIRE', KEYS[1], math.ceil((math.max(whole, last) - now) / 1000))
  else
    redis.call('DEL', KEYS[1])
  end
end
return {spent, leased, now + burst * unit - whole}
