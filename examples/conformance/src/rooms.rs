//! A hub for what the official client's tests leave out: groups, users, everybody else, and ends.

use everwire_hub::{ConnectionId, Context, HubBuilder, HubError, Upload, UserId};

pub(crate) fn methods(builder: HubBuilder) -> HubBuilder {
    let builder = builder
        .method("Join", |cx: Context, room: String| async move {
            Ok(cx.hub().groups().add(cx.connection_id(), room)?)
        })
        .method("Leave", |cx: Context, room: String| async move {
            cx.hub().groups().remove(cx.connection_id(), room);
        })
        .method(
            "WhoAmI",
            |cx: Context| async move { cx.user_id().map(|user| user.as_str().to_owned()) },
        )
        .method("MyId", |cx: Context| async move { cx.connection_id().to_string() })
        .method("Abort", |cx: Context| async move { cx.hub().abort(cx.connection_id()) });
    saying(builder)
}

/// Each sends `Said` with its text.
fn saying(builder: HubBuilder) -> HubBuilder {
    builder
        .method("SayToAll", |cx: Context, text: String| async move {
            Ok(cx.hub().all().send("Said", &[text])?)
        })
        .method("SayToOthers", |cx: Context, text: String| async move {
            Ok(cx.others().send("Said", &[text])?)
        })
        .method("SayToRoom", |cx: Context, room: String, text: String| async move {
            Ok(cx.hub().group(room).send("Said", &[text])?)
        })
        .method("SayToOthersInRoom", |cx: Context, room: String, text: String| async move {
            let others = cx.hub().group(room).except([cx.connection_id()]);
            Ok(others.send("Said", &[text])?)
        })
        .method("SayToRooms", |cx: Context, rooms: Vec<String>, text: String| async move {
            Ok(cx.hub().members(rooms).send("Said", &[text])?)
        })
        .method("SayToUser", |cx: Context, user: String, text: String| async move {
            Ok(cx.hub().user(UserId::from(user)).send("Said", &[text])?)
        })
        .method("SayToConnection", |cx: Context, id: String, text: String| async move {
            let id: ConnectionId = id.parse().map_err(|_| HubError::new("Not a connection."))?;
            Ok(cx.hub().connection(id).send("Said", &[text])?)
        })
        .method("SayJoined", |cx: Context, mut parts: Upload<String>| async move {
            let mut whole = String::new();
            while let Some(part) = parts.next().await {
                whole.push_str(&part?);
            }
            Ok(cx.caller().send("Said", &[whole])?)
        })
}
