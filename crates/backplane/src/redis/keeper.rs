//! The keeper: beats, watches who else does, and says what numbers were given.

use std::{sync::Arc, time::Duration};

use everwire_proto::time::Time;
use redis::{RedisResult, Value};

use super::{
    Backoff, Shared,
    core::Pending,
    scripts,
    server::{Connection, number, text, unexpected},
};
use crate::{
    Incarnation, Member, Membership, NodeId, clock,
    leases::{Beat, Sight},
};

/// Beats until the node has left or ends.
pub(super) async fn run(shared: Arc<Shared>) {
    let (mut backoff, mut count) = (Backoff::default(), 0);
    while !shared.core().left {
        // Every end is an error of the connection, or an answer that is none.
        let _ = keep(&shared, &mut count, &mut backoff).await;
        if !shared.core().left {
            backoff.pause().await;
        }
    }
}

async fn keep(shared: &Shared, count: &mut u64, backoff: &mut Backoff) -> RedisResult<()> {
    let mut connection = shared.server.connect(Duration::ZERO).await?;
    let mut tick = tokio::time::interval(shared.config.beat_interval());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut announced = Time::default();
    loop {
        tick.tick().await;
        if shared.core().left {
            return Ok(());
        }
        *count += 1;
        beat(shared, &mut connection, *count).await?;
        backoff.succeeded();
        tell_cleaned(shared, &mut connection).await?;
        let now = clock::now();
        give_up_recalls(shared, now);
        if now.saturating_since(announced) >= ANNOUNCE_EVERY {
            announced = now;
            shared.core().announce = true;
            shared.to_write.notify_one();
        }
    }
}

async fn beat(shared: &Shared, connection: &mut Connection, count: u64) -> RedisResult<()> {
    let me = shared.core().outgoing.member();
    let keys = &shared.keys;
    let inbox = keys.inbox(me.node);
    let keys = [keys.epoch(), keys.beats(), keys.expired(me), keys.left(me), inbox];
    let mut command = scripts::run(scripts::BEAT, &keys);
    command.arg(rand::random::<u64>().to_string()).arg(me.node.to_string());
    command.arg(format!("{}:{count}", me.incarnation)).arg(REMEMBERED.as_millis() as u64);
    let Value::Array(answer) = connection.one(&command).await? else { return Err(unexpected()) };
    let [epoch, expired, beats] = &answer[..] else { return Err(unexpected()) };
    shared.core().handle_epoch(number(epoch).ok_or_else(unexpected)?);
    if number(expired) == Some(1) {
        begin_again(shared, me);
        return Ok(());
    }
    let beats = read_beats(beats).ok_or_else(unexpected)?;
    let sights = shared.core().leases.handle_read(clock::now(), &beats);
    for sight in sights {
        handle(shared, connection, me, sight).await?;
    }
    Ok(())
}

/// The others have given this node up: it goes on as a new incarnation.
fn begin_again(shared: &Shared, me: Member) {
    let mut core = shared.core();
    let next = core.outgoing.handle_expired();
    core.leases.forget(me);
    core.roll.change(Membership::Expired { member: me, yours: false });
    core.roll.change(Membership::Joined(next));
}

async fn handle(
    shared: &Shared,
    connection: &mut Connection,
    me: Member,
    sight: Sight,
) -> RedisResult<()> {
    match sight {
        Sight::Appeared(member) => {
            if member != me {
                shared.core().roll.change(Membership::Joined(member));
            }
            Ok(())
        }
        Sight::Absent(member) | Sight::Silent(Beat { member, .. }) if member == me => Ok(()),
        Sight::Absent(member) => judge(shared, connection, me, member, String::new()).await,
        Sight::Silent(Beat { member, count }) => {
            let beat = format!("{}:{count}", member.incarnation);
            judge(shared, connection, me, member, beat).await
        }
    }
}

/// Lets the server decide, so that all nodes come to the same verdict and one cleans up.
async fn judge(
    shared: &Shared,
    connection: &mut Connection,
    me: Member,
    member: Member,
    beat: String,
) -> RedisResult<()> {
    let keys = &shared.keys;
    let keys = [keys.beats(), keys.cleaning(), keys.expired(member), keys.left(member)];
    let mut command = scripts::run(scripts::JUDGE, &keys);
    command.arg(member.node.to_string()).arg(beat).arg(member.to_string()).arg(me.to_string());
    command.arg(REMEMBERED.as_millis() as u64);
    let Value::Array(answer) = connection.one(&command).await? else { return Err(unexpected()) };
    let (verdict, mine) = answer.split_first().ok_or_else(unexpected)?;
    let mine: Vec<Member> = mine.iter().filter_map(text).filter_map(read_member).collect();
    let mut core = shared.core();
    match text(verdict) {
        Some("expired") => {
            let yours = mine.contains(&member);
            core.roll.change(Membership::Expired { member, yours });
        }
        Some("left") => core.roll.change(Membership::Left(member)),
        _ => return Ok(()),
    }
    core.leases.forget(member);
    for inherited in mine.into_iter().filter(|inherited| *inherited != member) {
        core.roll.change(Membership::Expired { member: inherited, yours: true });
    }
    Ok(())
}

async fn tell_cleaned(shared: &Shared, connection: &mut Connection) -> RedisResult<()> {
    let cleaned = shared.core().to_tell_cleaned.clone();
    for member in &cleaned {
        let mut command = redis::cmd("HDEL");
        command.arg(shared.keys.cleaning()).arg(member.to_string());
        connection.one(&command).await?;
    }
    shared.core().to_tell_cleaned.retain(|member| !cleaned.contains(member));
    Ok(())
}

/// A publisher that does not say what it still has, has nothing.
fn give_up_recalls(shared: &Shared, now: Time) {
    let reached = shared.reach.since(now.as_millis());
    if !shared.reach.is_reachable() || reached < RECALL_MAX {
        return;
    }
    let mut core = shared.core();
    let late = |pending: &Pending| match pending {
        Pending::Recall { asked, .. } => now.saturating_since(*asked) > RECALL_MAX,
        Pending::User(_) => false,
    };
    let late: Vec<u64> =
        core.asked.iter().filter(|(_, pending)| late(pending)).map(|(&id, _)| id).collect();
    for id in late {
        if let Some(Pending::Recall { channel, member, .. }) = core.asked.remove(&id) {
            shared.recalled(&mut core, &channel, member, Vec::new());
        }
    }
}

/// Says that this node is going, once everything it published is stored.
pub(super) async fn leave(shared: &Shared) -> RedisResult<()> {
    loop {
        let settled = shared.settled.notified();
        if shared.core().outgoing.is_settled() {
            break;
        }
        settled.await;
    }
    let me = shared.core().outgoing.member();
    let mut connection = shared.server.connect(Duration::ZERO).await?;
    let keys = [shared.keys.beats(), shared.keys.left(me)];
    let mut command = scripts::run(scripts::LEAVE, &keys);
    command.arg(me.node.to_string()).arg(REMEMBERED.as_millis() as u64);
    connection.one(&command).await?;
    Ok(())
}

/// What others may have written there is skipped.
fn read_beats(value: &Value) -> Option<Vec<Beat>> {
    let Value::Array(fields) = value else { return None };
    let beat = |pair: &[Value]| {
        let [node, beat] = pair else { return None };
        let (incarnation, count) = text(beat)?.split_once(':')?;
        let incarnation = Incarnation(incarnation.parse().ok()?);
        let member = Member { node: text(node)?.parse().ok()?, incarnation };
        Some(Beat { member, count: count.parse().ok()? })
    };
    Some(fields.chunks(2).filter_map(beat).collect())
}

fn read_member(text: &str) -> Option<Member> {
    let (node, incarnation) = text.split_once('/')?;
    let node: NodeId = node.parse().ok()?;
    Some(Member { node, incarnation: Incarnation(incarnation.parse().ok()?) })
}

/// How often last numbers are announced.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(1);

/// How long the server remembers who expired and who left: longer than any node is away.
pub(super) const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// How long a publisher has to say what it still has.
const RECALL_MAX: Duration = Duration::from_secs(2);
