//! The members of a group, a page at a time.

use axum::{Json, response::IntoResponse};
use everwire_hub::{Across, Hub, Member};
use http::{header, request::Parts};
use serde_json::{Value, json};

use super::{
    Answer, act,
    query::{PAGE_MAX, Query},
};
use crate::problem::Problem;

/// The connections of a group in the order of their ids, and where the next page is, if there is one.
pub(super) async fn members(
    hub: &Hub,
    group: String,
    query: &Query,
    head: &Parts,
) -> Result<Answer, Problem> {
    let page_max = query.page_max.unwrap_or(PAGE_MAX as usize);
    let size = query.top.map_or(page_max, |top| top.min(page_max));
    // One more tells whether there is a next page.
    let Across { value: mut members, unreached } =
        hub.group(group).page(query.after, size + 1).await;
    if unreached > 0 {
        return Err(act::unreached(unreached));
    }
    let has_more = members.len() > size;
    members.truncate(size);
    let left = query.top.map(|top| top - size);
    let mut page = json!({ "value": members.iter().map(item).collect::<Vec<_>>() });
    if let Some(last) = members.last()
        && has_more
        && left != Some(0)
    {
        page["nextLink"] = next_link(last, left, query, head).into();
    }
    Ok(Json(page).into_response())
}

fn item(member: &Member) -> Value {
    let mut item = json!({ "connectionId": member.id.to_string() });
    if let Some(user) = &member.user {
        item["userId"] = user.as_str().into();
    }
    item
}

/// The URL of the next page, of which `left` are wanted at most, at the address that the client uses.
fn next_link(last: &Member, left: Option<usize>, query: &Query, head: &Parts) -> String {
    let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = text("x-forwarded-proto").filter(|scheme| *scheme == "https").unwrap_or("http");
    let host = text(header::HOST.as_str()).unwrap_or_default();
    let mut link = format!("{scheme}://{host}{}?continuationToken={}", head.uri.path(), last.id);
    let numbers = [("top", left), ("maxpagesize", query.page_max)];
    for (name, number) in numbers {
        if let Some(number) = number {
            link.push_str(&format!("&{name}={number}"));
        }
    }
    if let Some(version) = &query.version {
        link.push_str(&format!("&api-version={version}"));
    }
    link
}
