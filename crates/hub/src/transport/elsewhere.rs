//! Requests for a connection that lives at another node: they are passed there, and the answer back,
//! as both come.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;

use super::{
    attach::{Detached, Visitor},
    body::HubBody,
};
use crate::cluster::{Mesh, passed, strip_hop};

/// Passes a request to the node that issued its client's token, which answers it.
///
/// What is said of origins is left to this node: the other one marks nothing.
pub(super) async fn pass<B>(
    visitor: &Visitor,
    mesh: &Arc<Mesh>,
    node: &str,
    request: Request<B>,
) -> Response<HubBody>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let (mut head, body) = request.into_parts();
    strip_hop(&mut head.headers);
    // Extensions are what this node's server knows of this node's client.
    head.extensions.clear();
    let request = Request::from_parts(head, passed(body));
    let within = visitor.hub.config().poll_timeout + ANSWER_MAX;
    let Some(mut response) = mesh.pass(node, request, within).await else {
        return Detached::Unknown.answer();
    };
    strip_hop(response.headers_mut());
    response.extensions_mut().clear();
    response.map(HubBody::passed)
}

/// How much longer than a poll a node may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
