//! What the server does in one step.

use redis::Cmd;

/// Counts this member's beat up, unless the others gave it up.
/// Keys: epoch, beats, whether this member expired, whether it left,
/// its inbox. Arguments: a new epoch, node, its beat, how long an inbox outlives its node.
/// Answers the epoch, whether it expired, and all beats.
pub(super) const BEAT: &str = "
local epoch = redis.call('GET', KEYS[1])
if not epoch then epoch = ARGV[1]; redis.call('SET', KEYS[1], epoch) end
if redis.call('EXISTS', KEYS[3]) == 1 then return {epoch, 1, {}} end
if redis.call('EXISTS', KEYS[4]) == 0 then redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) end
redis.call('PEXPIRE', KEYS[5], ARGV[4])
return {epoch, 0, redis.call('HGETALL', KEYS[2])}";

/// Takes this member's leave. Keys: beats, whether it left. Arguments: node, time to remember.
pub(super) const LEAVE: &str = "
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
return 1";

/// Decides about a member that does not beat, and who cleans up: after it, and after those whom it
/// had to clean up after. Keys: beats, cleaning, whether it expired, whether it left. Arguments:
/// node, its last beat or nothing if it is not silent long enough, the member, who asks, time to
/// remember. Answers `expired`, `left`, `alive` or `unknown`, and after whom the asker cleans up.
pub(super) const JUDGE: &str = "
local verdict = 'expired'
if redis.call('EXISTS', KEYS[4]) == 1 then verdict = 'left'
elseif redis.call('EXISTS', KEYS[3]) == 0 then
  if ARGV[2] == '' then return {'unknown'} end
  local beat = redis.call('HGET', KEYS[1], ARGV[1])
  if beat and beat ~= ARGV[2] then return {'alive'} end
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[3], ARGV[4], 'PX', ARGV[5])
  redis.call('HSET', KEYS[2], ARGV[3], ARGV[4])
end
local answer = {verdict}
local cleaning = redis.call('HGETALL', KEYS[2])
for i = 1, #cleaning, 2 do
  if cleaning[i + 1] == ARGV[3] then
    redis.call('HSET', KEYS[2], cleaning[i], ARGV[4])
    answer[#answer + 1] = cleaning[i]
  elseif cleaning[i] == ARGV[3] and cleaning[i + 1] == ARGV[4] then
    answer[#answer + 1] = cleaning[i]
  end
end
return answer";

/// Appends to a log. Keys: log, its state. Arguments: the expected version or nothing, the entry.
/// Answers whether it did, and the version.
pub(super) const APPEND: &str = "
local last = tonumber(redis.call('HGET', KEYS[2], 'last') or '0')
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= last then return {0, last} end
local time = redis.call('TIME')
local version = string.format('%.0f', last + 1)
local millis = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('XADD', KEYS[1], version .. '-0', 'e', ARGV[2], 't', millis)
redis.call('HSET', KEYS[2], 'last', version)
return {1, last + 1}";

/// Reads a log. Keys: epoch, log, its state. Arguments: a new epoch, the first version, how many.
/// Answers epoch, what is trimmed, the version, the entries.
pub(super) const READ: &str = "
local epoch = redis.call('GET', KEYS[1])
if not epoch then epoch = ARGV[1]; redis.call('SET', KEYS[1], epoch) end
local entries = {}
if ARGV[3] ~= '0' then
  entries = redis.call('XRANGE', KEYS[2], ARGV[2] .. '-0', '+', 'COUNT', ARGV[3])
end
local state = redis.call('HMGET', KEYS[3], 'trimmed', 'last')
return {epoch, state[1] or '0', state[2] or '0', entries}";

/// Keeps a snapshot, unless there is a later one. Key: the log's state. Arguments: version, state.
pub(super) const KEEP: &str = "
local kept = tonumber(redis.call('HGET', KEYS[1], 'snapshot') or '-1')
if tonumber(ARGV[1]) < kept then return 0 end
redis.call('HSET', KEYS[1], 'snapshot', ARGV[1], 'data', ARGV[2])
return 1";

/// Forgets entries. Keys: log, its state. Arguments: `after`, `last` or `younger`, and a number.
pub(super) const TRIM: &str = "
local last = tonumber(redis.call('HGET', KEYS[2], 'last') or '0')
local trimmed = tonumber(redis.call('HGET', KEYS[2], 'trimmed') or '0')
local until_version = tonumber(ARGV[2])
if ARGV[1] == 'last' then until_version = last - until_version end
if ARGV[1] == 'younger' then
  local time = redis.call('TIME')
  local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - tonumber(ARGV[2])
  until_version = trimmed
  local done = false
  while not done do
    local from = string.format('%.0f', until_version + 1)
    local entries = redis.call('XRANGE', KEYS[1], from .. '-0', '+', 'COUNT', 256)
    done = #entries == 0
    for i = 1, #entries do
      if tonumber(entries[i][2][4]) >= oldest then done = true; break end
      until_version = until_version + 1
    end
  end
end
if until_version > last then until_version = last end
if until_version <= trimmed then return 0 end
redis.call('XTRIM', KEYS[1], 'MINID', string.format('%.0f', until_version + 1) .. '-0')
redis.call('HSET', KEYS[2], 'trimmed', string.format('%.0f', until_version))
return 1";

/// Has a log forgotten. Keys: log, its state. Argument: in how many milliseconds.
pub(super) const REMOVE: &str = "
redis.call('PEXPIRE', KEYS[1], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1";

/// The command that runs a script. Sent whole each time: it is small beside what it saves in states
/// that a server can be in after a restart.
pub(super) fn run(script: &str, keys: &[String]) -> Cmd {
    let mut command = redis::cmd("EVAL");
    command.arg(script).arg(keys.len());
    for key in keys {
        command.arg(key);
    }
    command
}
