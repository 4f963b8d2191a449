//! The answer as JSON, written and read.

use serde::{Deserialize, Serialize, de::IgnoredAny};

use super::{
    NegotiateRequest, NegotiateResponse, Negotiated, RESPONSE_MAX, ResponseError, Secret,
    StatefulReconnect, Transport,
};

/// Every property that an answer may have, in the official server's order.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    negotiate_version: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_id: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_token: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_stateful_reconnect: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    available_transports: Option<Vec<Available>>,
    #[serde(rename = "ProtocolVersion", skip_serializing)]
    protocol_version: Option<IgnoredAny>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Available {
    transport: Box<str>,
    #[serde(default)]
    transfer_formats: Vec<Box<str>>,
}

/// Writes an answer.
pub(super) fn write(response: &NegotiateResponse) -> Vec<u8> {
    let answer = match response {
        NegotiateResponse::Connect(negotiated) => connect(negotiated),
        NegotiateResponse::Redirect { url, access_token } => Answer {
            url: Some(url.clone()),
            access_token: access_token.as_ref().map(|token| token.0.clone()),
            ..Answer::default()
        },
        NegotiateResponse::Error(error) => {
            Answer { error: Some(error.clone()), ..Answer::default() }
        }
    };
    // Text, numbers and lists always serialise.
    serde_json::to_vec(&answer).unwrap_or_default()
}

fn connect(negotiated: &Negotiated) -> Answer {
    let available = |transport: &Transport| Available {
        transport: transport.name().into(),
        transfer_formats: transport.transfer_formats().iter().map(|f| f.name().into()).collect(),
    };
    let token = negotiated.connection_token.as_ref();
    let is_stateful = negotiated.stateful_reconnect == StatefulReconnect::On;
    Answer {
        negotiate_version: Some(i64::from(token.is_some())),
        connection_id: Some(negotiated.connection_id.clone()),
        connection_token: token.map(|token| token.0.clone()),
        use_stateful_reconnect: is_stateful.then_some(true),
        available_transports: Some(negotiated.transports.iter().map(available).collect()),
        ..Answer::default()
    }
}

/// Reads an answer.
pub(super) fn read(
    body: &[u8],
    asked: &NegotiateRequest,
) -> Result<NegotiateResponse, ResponseError> {
    if body.len() > RESPONSE_MAX {
        return Err(ResponseError::TooLarge);
    }
    let mut answer: Answer = serde_json::from_slice(body).map_err(ResponseError::Malformed)?;
    if answer.protocol_version.is_some() {
        return Err(ResponseError::OldServer);
    }
    // Empty text counts as absent, as in the official clients.
    if let Some(error) = answer.error.take().filter(|error| !error.is_empty()) {
        return Ok(NegotiateResponse::Error(error));
    }
    if let Some(url) = answer.url.take().filter(|url| !url.is_empty()) {
        let access_token = answer.access_token.map(Secret);
        return Ok(NegotiateResponse::Redirect { url, access_token });
    }
    negotiated(answer, asked).map(NegotiateResponse::Connect)
}

fn negotiated(answer: Answer, asked: &NegotiateRequest) -> Result<Negotiated, ResponseError> {
    let has_token = answer.negotiate_version.is_some_and(|version| version > 0);
    if has_token && answer.connection_token.is_none() {
        return Err(ResponseError::Missing("connectionToken"));
    }
    let connection_id = answer.connection_id.ok_or(ResponseError::Missing("connectionId"))?;
    let available =
        answer.available_transports.ok_or(ResponseError::Missing("availableTransports"))?;
    let named = |name: &str| Transport::ALL.into_iter().find(|known| known.name() == name);
    let stateful_reconnect = match answer.use_stateful_reconnect {
        Some(true) => StatefulReconnect::On,
        _ => StatefulReconnect::Off,
    };
    if stateful_reconnect == StatefulReconnect::On
        && asked.stateful_reconnect == StatefulReconnect::Off
    {
        return Err(ResponseError::UnaskedStatefulReconnect);
    }
    Ok(Negotiated {
        connection_id,
        connection_token: answer.connection_token.filter(|_| has_token).map(Secret),
        transports: available.iter().filter_map(|there| named(&there.transport)).collect(),
        stateful_reconnect,
    })
}
