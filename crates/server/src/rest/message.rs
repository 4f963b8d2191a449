//! The body of what is published.

use std::time::Duration;

use everwire_proto::signalr::{
    Protocol, ReadError,
    publication::{Form, Publication},
};
use http::{HeaderMap, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Bytes;

use crate::problem::Problem;

/// Reads a published message, in the form that the request's head names.
pub(super) async fn read<B>(headers: &HeaderMap, body: B) -> Result<Publication, Problem>
where
    B: Body<Data = Bytes>,
{
    let form = form(headers)?;
    let bytes = collect(body).await?;
    Publication::read(form, &bytes).map_err(|error| match error {
        ReadError::Missing("target") => {
            Problem::bad_request("target: is empty or missing; name a method of the clients")
        }
        error => Problem::bad_request(error.to_string()),
    })
}

async fn collect<B>(body: B) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
{
    // The body's own error says nothing that its sender does not know.
    let body = body.map_err(|_| BrokenOff);
    let whole = std::pin::pin!(Limited::new(body, MESSAGE_MAX).collect());
    match tokio::time::timeout(BODY_TIMEOUT, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let what = format!("the message is longer than {MESSAGE_MAX} bytes");
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what))
        }
        Ok(Err(_)) => Err(Problem::bad_request("the message broke off")),
        Err(_) => {
            let what = format!("no whole message within {} s", BODY_TIMEOUT.as_secs());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, what))
        }
    }
}

/// A body that has not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off")]
struct BrokenOff;

fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    match &*kind.to_ascii_lowercase() {
        "application/json" | "text/json" => Ok(Form::Object(Protocol::Json)),
        "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => {
            Ok(Form::Object(Protocol::MessagePack))
        }
        "application/octet-stream" => Ok(Form::Encoded),
        _ => {
            let what = "Content-Type: write application/json or application/msgpack, or \
                        application/octet-stream for messages that are encoded already";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, what))
        }
    }
}

/// Longest message that is published, as in the service that the paths are of.
const MESSAGE_MAX: usize = 1 << 20;

/// How long a message may take to come: 35 kB/s for the longest.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use futures_util::stream::pending;
    use http_body_util::{Full, StreamBody};

    use super::*;

    fn status(read: Result<Bytes, Problem>) -> StatusCode {
        read.map_or_else(|problem| problem.status(), |_| StatusCode::OK)
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = pending::<Result<http_body::Frame<Bytes>, std::io::Error>>();
        let read = collect(StreamBody::new(never)).await;
        assert_eq!(status(read), StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn a_body_may_be_as_long_as_a_message() {
        let body = |length| Full::new(Bytes::from(vec![b' '; length]));
        assert_eq!(status(collect(body(MESSAGE_MAX)).await), StatusCode::OK);
        let longer = collect(body(MESSAGE_MAX + 1)).await;
        assert_eq!(status(longer), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
