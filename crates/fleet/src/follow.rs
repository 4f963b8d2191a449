//! What clients of the hub say of the sets that they watch: `Watch(set, cursor?, coalesce?)`, `Unwatch(set)`,
//! and `set=…&cursor=…&coalesce=…` in the URL of their connection.

use std::collections::BTreeSet;

use everwire_hub::{ClientRequest, Context, HubBuilder, HubError, method::Untouched};
use serde::Deserialize;

use crate::{
    access::{Pass, Right},
    book::Cursor,
    name::SetName,
    shelf::{NotOpened, Shelf, Watcher, WayTo, Who},
    watch::{Pace, Seed},
};

/// A set that a client wants to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) set: SetName,
    pub(crate) cursor: Option<Cursor>,
    pub(crate) pace: Pace,
}

/// Why a client does not watch a set. It is told in these words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotFollowed {
    #[error("{0}")]
    Wrong(Box<str>),
    #[error("this token may not read {0}; use one with the right 'read' for that set")]
    Forbidden(SetName),
    #[error("a connection watches at most {FOLLOWED_MAX} sets; unwatch some, or open another one")]
    TooMany,
    #[error(transparent)]
    NotOpened(#[from] NotOpened),
}

/// The sets that a connection watches.
#[derive(Debug, Clone, Default)]
struct Followed(BTreeSet<SetName>);

/// A cursor as clients have it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Place {
    Text(String),
    Fields { epoch: String, version: u64 },
}

/// Adds what clients call to a hub.
pub(crate) fn methods(hub: HubBuilder, shelf: &Shelf) -> HubBuilder {
    let (watching, leaving) = (shelf.clone(), shelf.clone());
    let watch = move |context: Context, arguments: Untouched| {
        let shelf = watching.clone();
        async move {
            let wanted = read_watch(&arguments).map_err(NotFollowed::told)?;
            let seed = wanted.cursor.map_or(Seed::Nothing, Seed::At);
            follow(&shelf, &context, wanted, seed).await.map_err(NotFollowed::told)
        }
    };
    let unwatch = move |context: Context, set: String| {
        let shelf = leaving.clone();
        async move {
            let set = read_set(&set).map_err(NotFollowed::told)?;
            unfollow(&shelf, &context, &set).await;
            Ok::<_, HubError>(())
        }
    };
    hub.method("Watch", watch).method("Unwatch", unwatch)
}

/// Watches the sets in the URL of a connection that begins. `is_known` says that whoever it is has been
/// here before: then the URL says where it stood long ago, and what it has by now is not known.
pub(crate) async fn follow_requested(
    shelf: &Shelf,
    context: &Context,
    is_known: bool,
) -> Result<(), NotFollowed> {
    for wanted in read_request(context.request())? {
        let seed = match wanted.cursor {
            Some(cursor) if !is_known => Seed::At(cursor),
            _ => Seed::Nothing,
        };
        follow(shelf, context, wanted, seed).await?;
    }
    Ok(())
}

/// A connection has ended.
pub(crate) async fn unfollow_all(shelf: &Shelf, context: &Context) {
    let followed = context.items().remove::<Followed>().unwrap_or_default();
    for set in followed.0 {
        shelf.unwatch(&set, Who::Client(context.connection_id())).await;
    }
}

/// What a connection has shown on coming in.
pub(crate) fn pass_of(request: &ClientRequest) -> Pass {
    Pass::new(request.token().as_deref())
}

async fn follow(
    shelf: &Shelf,
    context: &Context,
    wanted: Wanted,
    seed: Seed,
) -> Result<(), NotFollowed> {
    let Wanted { set, pace, .. } = wanted;
    let pass = pass_of(context.request());
    if !shelf.gate().allows_set(pass, Right::Read, &set) {
        return Err(NotFollowed::Forbidden(set));
    }
    // Before it is done, so that the end of the connection undoes it in any case.
    let has_room = context.items().update(|followed: &mut Followed| {
        let has_room = followed.0.len() < FOLLOWED_MAX || followed.0.contains(&set);
        if has_room {
            followed.0.insert(set.clone());
        }
        has_room
    });
    if !has_room {
        return Err(NotFollowed::TooMany);
    }
    let (who, way) = (Who::Client(context.connection_id()), WayTo::Hub(context.hub().clone()));
    shelf.watch(&set, Watcher { who, way, pass, seed, pace }).await?;
    shelf.lobby().settle(context.connection_id(), None);
    Ok(())
}

async fn unfollow(shelf: &Shelf, context: &Context, set: &SetName) {
    context.items().update(|followed: &mut Followed| followed.0.remove(set));
    shelf.unwatch(set, Who::Client(context.connection_id())).await;
}

/// The arguments of `Watch`: a set, and perhaps a cursor and milliseconds.
fn read_watch(arguments: &Untouched) -> Result<Wanted, NotFollowed> {
    let mut arguments = arguments.0.iter();
    let set = arguments.next().and_then(|set| set.decode::<String>().ok());
    let set =
        set.ok_or_else(|| wrong("Watch takes the name of a set, then a cursor, then coalesce"))?;
    let set = read_set(&set)?;
    let place = match arguments.next() {
        Some(place) => place.decode::<Option<Place>>().map_err(|_| wrong(CURSOR))?,
        None => None,
    };
    let cursor = place.map(read_place).transpose()?;
    let coalesce = match arguments.next() {
        Some(millis) => millis.decode::<Option<u64>>().map_err(|_| wrong(COALESCE))?,
        None => None,
    };
    Ok(Wanted { set, cursor, pace: Pace::of_millis(coalesce.unwrap_or_default()) })
}

/// The sets of a URL. A cursor is that of the set before it; `coalesce` is for all.
fn read_request(request: &ClientRequest) -> Result<Vec<Wanted>, NotFollowed> {
    let mut all: Vec<Wanted> = Vec::new();
    let mut pace = Pace::Each;
    for (name, value) in request.own_parameters() {
        match name.as_str() {
            "set" => {
                let set = read_set(&value)?;
                all.push(Wanted { set, cursor: None, pace });
            }
            "cursor" if value.is_empty() => {}
            "cursor" => {
                let last =
                    all.last_mut().ok_or_else(|| wrong("'cursor' comes behind its 'set'"))?;
                last.cursor = Some(read_place(Place::Text(value))?);
            }
            "coalesce" => pace = read_pace(&value)?,
            _ => {}
        }
        if all.len() > FOLLOWED_MAX {
            return Err(NotFollowed::TooMany);
        }
    }
    all.iter_mut().for_each(|wanted| wanted.pace = pace);
    Ok(all)
}

fn read_set(text: &str) -> Result<SetName, NotFollowed> {
    text.parse().map_err(|error| wrong(&format!("{error}")))
}

fn read_place(place: Place) -> Result<Cursor, NotFollowed> {
    let text = match place {
        Place::Text(text) => text,
        Place::Fields { epoch, version } => format!("{epoch}-{version}"),
    };
    text.parse().map_err(|_| wrong(CURSOR))
}

/// How soon somebody wants to hear of changes, in milliseconds.
pub(crate) fn read_pace(text: &str) -> Result<Pace, NotFollowed> {
    text.parse().map(Pace::of_millis).map_err(|_| wrong(COALESCE))
}

fn wrong(what: &str) -> NotFollowed {
    NotFollowed::Wrong(what.into())
}

impl NotFollowed {
    /// The same for the client.
    pub(crate) fn told(self) -> HubError {
        HubError::new(self.to_string())
    }
}

/// Sets that one connection watches.
pub(crate) const FOLLOWED_MAX: usize = 100;

const CURSOR: &str = "a cursor is epoch-version as in what the server sent, or {epoch, version}; leave it \
                      out to begin with everything";
const COALESCE: &str = "'coalesce' is a number of milliseconds";
