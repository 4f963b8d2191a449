//! `[fleet.tokens]`: who may do what. No mistake repeats a token.

use everwire_fleet::access::{BadGrant, Grant, Grants, Right, SetPattern};

use crate::config::{
    check_header, keys,
    mistake::Mistakes,
    reader::{self, Reader},
    tree::Node,
};

/// Reads all tokens.
pub(super) fn read_all(node: Node, mistakes: &mut Mistakes) -> Grants {
    let origin = node.origin.clone();
    let Ok(table) = node.into_table() else {
        let what = "is not a table; write [fleet.tokens] and \"TOKEN\" = { app = \"shop\", … }";
        mistakes.add(origin, "fleet.tokens", what);
        return Grants::default();
    };
    if table.entries.is_empty() {
        mistakes.add(
            origin.clone(),
            "fleet.tokens",
            "is empty; leave it out if everybody may do everything",
        );
    }
    let tokens = table.entries.into_iter();
    let grants: Vec<_> = tokens.filter_map(|(text, node)| read(&text, node, mistakes)).collect();
    Grants::new(grants).unwrap_or_else(|bad| {
        mistakes.add(origin, "fleet.tokens", bad.to_string());
        Grants::default()
    })
}

fn read(token: &str, node: Node, mistakes: &mut Mistakes) -> Option<Grant> {
    let origin = node.origin.clone();
    let mut reader = Reader::open(HIDDEN.to_owned(), &keys::FLEET_TOKEN, node, mistakes)?;
    let app = reader.read("app", app).unwrap_or_else(|| "*".to_owned());
    let sets = reader.read_list("sets", pattern).unwrap_or_default();
    let before = reader.mistakes().count();
    let rights = reader.read_list("rights", right);
    let rights = rights.unwrap_or_else(|| vec![Right::Join, Right::Read]);
    if rights.is_empty() && reader.mistakes().count() == before {
        reader.contradict(&["rights"], "is empty: the token allows nothing; leave it out");
    }
    let grant = check_header(token)
        .and_then(|()| Grant::new(token, &app, sets, rights).map_err(|bad| bad.to_string()));
    let told = grant.map_err(|what| reader.mistakes().add(origin, HIDDEN, what));
    reader.finish();
    told.ok()
}

/// The name of an application, with `*` for any piece of it.
fn app(node: &Node) -> Result<String, String> {
    let text = reader::string(node)?;
    let named = everwire_fleet::name::InstanceName::new(&text.replace(['*', '?'], "x"), "0", "0");
    named.map(|_| text).map_err(|_| "is not an application's name".to_owned())
}

fn pattern(node: &Node) -> Result<SetPattern, String> {
    let text = reader::string(node)?;
    text.parse()
        .map_err(|_: BadGrant| "is not a pattern of sets; write for example \"shop/**\"".to_owned())
}

fn right(node: &Node) -> Result<Right, String> {
    let known = |_: BadGrant| "is not one of join, read, write, command".to_owned();
    reader::string(node)?.parse().map_err(known)
}

/// What stands for a token where people look.
const HIDDEN: &str = "fleet.tokens.…";
