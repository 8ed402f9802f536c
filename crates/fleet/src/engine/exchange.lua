-- One exchange of a machine with the engine. Does what `protocol/ledger.rs` does, line by line.
--
-- KEYS  1 meta, 2 sessions, then one per entry: what sessions have for that client
-- ARGV  1 session, 2 epoch or '', 3 sequence, 4 end (0 or 1), 5 pool, 6 seats, 7 share, 8 ttl, 9 retention,
--       10 prefix of notes, then client, hold, want per entry
local FIXED, MOST_CONTENDED = 10, 256
local session, epoch, sequence = ARGV[1], ARGV[2], tonumber(ARGV[3])
local pool, seats, share = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local ttl, retention, notes = tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')

-- meta: epoch, run, last, learning_until, seats, share, ttl
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'last', 'learn', 'seats', 'share', 'ttl')
local known = meta[1] and true or false
local last, old_ttl = tonumber(meta[3] or 0), tonumber(meta[7] or 0)
local intact = known and meta[2] == run and clock <= last + math.floor(old_ttl / 2)
  and clock + math.floor(old_ttl / 2) >= last
local now, live, taken = clock, {}, 0
if intact then
  now = math.max(last, clock)
  redis.call('HSET', KEYS[1], 'last', string.format('%.0f', now))
  local all = redis.call('HGETALL', KEYS[2])
  for i = 1, #all, 2 do
    local expires, seat, n = string.match(all[i + 1], '^(%d+) (%d) (%d+)$')
    if tonumber(expires) > now then
      live[all[i]] = {seat = seat == '1', n = tonumber(n)}
    else
      redis.call('HDEL', KEYS[2], all[i])
      redis.call('DEL', notes .. all[i])
    end
  end
  if tonumber(meta[5]) ~= seats or tonumber(meta[6]) ~= share or old_ttl ~= ttl then
    if next(live) then
      return {'rules', tonumber(meta[5]), tonumber(meta[6]), old_ttl}
    end
    intact = false
  end
end
local current, learn = meta[1], tonumber(meta[4] or 0)
if not intact then
  live, now = {}, clock
  current = string.format('%.0f:%s:%.0f', clock, session, sequence)
  learn = clock + math.max(ttl, old_ttl)
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'epoch', current, 'run', run, 'last', string.format('%.0f', clock),
    'learn', string.format('%.0f', learn), 'seats', seats, 'share', share, 'ttl', ttl)
end

local me = live[session]
if me then
  if epoch ~= '' and epoch ~= current then return {'unknown'} end
  if sequence <= me.n then return {'overtaken'} end
elseif epoch ~= '' or ARGV[4] == '1' then
  return {'unknown'}
end
if ARGV[4] == '1' then
  redis.call('HDEL', KEYS[2], session)
  redis.call('DEL', notes .. session)
  return {'granted', current, 0, 0, {}, {}}
end
for id, other in pairs(live) do
  if id ~= session and other.seat then taken = taken + 1 end
end
local seat = (me and me.seat) or taken < seats
live[session] = {seat = seat, n = sequence}
redis.call('HSET', KEYS[2], session, string.format('%.0f %d %.0f', now + ttl, seat and 1 or 0, sequence))

local learning = math.max(learn - now, 0)
local grants = {}
for e = 3, #KEYS do
  local at = FIXED + (e - 3) * 3
  local client, hold, want = ARGV[at + 1], tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
  local key, others, holders, mine = KEYS[e], 0, {}, 0
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if all[i] == session then
      mine = tonumber(all[i + 1])
    elseif live[all[i]] then
      others = others + tonumber(all[i + 1])
      holders[#holders + 1] = all[i]
    else
      redis.call('HDEL', key, all[i])
    end
  end
  local allowed = learning > 0 and 0 or math.max(pool - others, 0)
  local leased = math.max(hold, math.min(want, allowed))
  if leased < want and learning == 0 then
    for _, id in ipairs(holders) do
      redis.call('SADD', notes .. id, client)
      redis.call('PEXPIRE', notes .. id, ttl)
    end
  end
  if leased > 0 then
    if leased ~= mine then redis.call('HSET', key, session, leased) end
    redis.call('PEXPIRE', key, retention)
  else
    if mine > 0 then redis.call('HDEL', key, session) end
    if #holders > 0 then redis.call('PEXPIRE', key, retention) end
  end
  grants[#grants + 1] = leased
  grants[#grants + 1] = math.min(math.max(others + leased - pool, 0), leased)
end
return {'granted', current, seat and 1 or 0, learning, grants, redis.call('SPOP', notes .. session, MOST_CONTENDED)}
