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

/// Appends to a log. Version N is the entry `N-0`, so that the server itself refuses a second one.
/// Keys: log, its state. Arguments: the expected version or nothing, the entry, a name for this append,
/// and if it was sent before and its answer was lost, how many of the latest entries may be it. Answers
/// 1 if it did or had, 0 if not, 2 if that cannot be told any more; and the version.
pub(super) const APPEND: &str = "
local state = redis.call('HMGET', KEYS[2], 'last', 'trimmed')
local last, trimmed = tonumber(state[1] or '0'), tonumber(state[2] or '0')
local expected = tonumber(ARGV[1])
local function id(version) return string.format('%.0f', version) .. '-0' end
if ARGV[4] ~= '' then
  local found
  if expected then
    found = redis.call('XRANGE', KEYS[1], id(expected + 1), id(expected + 1))
  else
    found = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', ARGV[4])
  end
  for i = 1, #found do
    if found[i][2][6] == ARGV[3] then
      return {1, tonumber(string.match(found[i][1], '^%d+'))}
    end
  end
  if not expected or expected < trimmed then return {2, last} end
end
if expected and expected ~= last then return {0, last} end
local time = redis.call('TIME')
local millis = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('XADD', KEYS[1], id(last + 1), 'e', ARGV[2], 't', millis, 'w', ARGV[3])
redis.call('HSET', KEYS[2], 'last', string.format('%.0f', last + 1))
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

/// What both scripts of histories begin with. A history whose state is gone begins again, and so does
/// one of a server that may have forgotten its end when its process was started again. `trim` gives
/// the oldest number that is kept, and the bytes.
macro_rules! with_history {
    ($rest:literal) => {
        concat!(
            "
local function text(number) return string.format('%.0f', number) end
local function millis()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function open(stream, state, run, durable, fresh, lasts)
  local kept = redis.call('HMGET', state, 'epoch', 'run', 'last', 'bytes')
  local epoch, last, bytes = kept[1], tonumber(kept[3] or '0'), tonumber(kept[4] or '0')
  if not epoch or (kept[2] ~= run and durable == '') then
    redis.call('DEL', stream, state)
    epoch, last, bytes = fresh, 0, 0
    redis.call('HSET', state, 'epoch', epoch, 'run', run, 'last', '0', 'bytes', '0')
    redis.call('PEXPIRE', state, lasts)
  elseif kept[2] ~= run then
    redis.call('HSET', state, 'run', run)
  end
  return epoch, last, bytes
end
local function trim(stream, last, bytes, count_max, bytes_max, oldest)
  local gone, portion = 0, 1
  while true do
    local from = '-'
    if gone > 0 then from = text(gone + 1) .. '-0' end
    local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', portion)
    if #entries == 0 then
      if gone > 0 then redis.call('DEL', stream) end
      return last + 1, 0
    end
    for i = 1, #entries do
      local offset = tonumber(string.match(entries[i][1], '^%d+'))
      local fields = entries[i][2]
      if last - offset < count_max and bytes <= bytes_max and tonumber(fields[4]) >= oldest then
        if gone > 0 then redis.call('XTRIM', stream, 'MINID', text(offset) .. '-0') end
        return offset, bytes
      end
      gone, bytes = offset, bytes - #fields[2]
    end
    portion = 64
  end
end
",
            $rest
        )
    };
}

/// Publishes and records a message, unless it is there already. Keys: the channel, the history, its
/// state, the last message that this node has recorded. Arguments: about how many entries the channel
/// keeps, the entry, the publisher's incarnation and number, the server's process, whether that is
/// durable or nothing, a new epoch, how many messages, bytes and milliseconds the history keeps, how
/// long its state outlives it, how long the node is remembered. Answers the place in the channel.
pub(super) const RECORD: &str = with_history!(
    "
local sent = redis.call('HMGET', KEYS[4], 'incarnation', 'number', 'id')
local incarnation, number = tonumber(ARGV[3]), tonumber(ARGV[4])
if sent[1] then
  local before = tonumber(sent[1])
  if before > incarnation or before == incarnation and tonumber(sent[2]) >= number then
    return sent[3]
  end
end
local epoch, last, bytes = open(KEYS[2], KEYS[3], ARGV[5], ARGV[6], ARGV[7], ARGV[11])
local now = millis()
last = last + 1
redis.call('XADD', KEYS[2], text(last) .. '-0', 'e', ARGV[2], 't', text(now))
local first
first, bytes = trim(KEYS[2], last, bytes + #ARGV[2], tonumber(ARGV[8]), tonumber(ARGV[9]),
  now - tonumber(ARGV[10]))
redis.call('HSET', KEYS[3], 'last', text(last), 'bytes', text(bytes))
redis.call('PEXPIRE', KEYS[2], ARGV[10])
redis.call('PEXPIRE', KEYS[3], ARGV[11])
local id = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'e', ARGV[2],
  'h', epoch .. '.' .. text(last))
redis.call('HSET', KEYS[4], 'incarnation', ARGV[3], 'number', ARGV[4], 'id', id)
redis.call('PEXPIRE', KEYS[4], ARGV[12])
return id"
);

/// Reads a history. Keys: the history, its state. Arguments: the server's process, whether that is
/// durable or nothing, a new epoch, how many messages, bytes and milliseconds are kept, how long the
/// state outlives them, the first number, how many messages and bytes at most. Answers epoch, oldest
/// and last number, the entries.
pub(super) const REPLAY: &str = with_history!(
    "
local epoch, last, bytes = open(KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[7])
local first
first, bytes = trim(KEYS[1], last, bytes, tonumber(ARGV[4]), tonumber(ARGV[5]),
  millis() - tonumber(ARGV[6]))
redis.call('HSET', KEYS[2], 'bytes', text(bytes))
local found, from, room = {}, math.max(tonumber(ARGV[8]), first), tonumber(ARGV[10])
local limit = tonumber(ARGV[9])
while #found < limit and from <= last and room > 0 do
  local portion = math.min(64, limit - #found)
  local entries = redis.call('XRANGE', KEYS[1], text(from) .. '-0', '+', 'COUNT', portion)
  if #entries == 0 then break end
  for i = 1, #entries do
    found[#found + 1] = entries[i]
    room = room - #entries[i][2][2]
  end
  from = from + #entries
end
return {epoch, text(first), text(last), found}"
);

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
