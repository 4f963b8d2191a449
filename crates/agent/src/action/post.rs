//! Posts a change to a URL.

use std::time::Duration;

use everwire_client::post_json;
use serde_json::{Value, json};

use crate::sets::Change;

/// Posts it as `{"sets": [{"set", "version", "changed": […]}], "values": {…}}`.
pub(super) async fn post(url: &str, change: &Change, timeout: Duration) -> Result<(), String> {
    let body = body(change).to_string();
    match tokio::time::timeout(timeout, post_json(url, body.into())).await {
        Ok(Ok(200..300)) => Ok(()),
        Ok(Ok(status)) => Err(format!("{url} answered with status {status}")),
        Ok(Err(error)) => Err(format!("{url}: {error}")),
        Err(_) => Err(format!("{url} did not answer within {timeout:?}")),
    }
}

fn body(change: &Change) -> Value {
    let set = |it: &crate::sets::SetChange| json!({"set": it.set, "version": it.version, "changed": it.keys});
    let sets: Vec<Value> = change.sets.iter().map(set).collect();
    json!({"sets": sets, "values": *change.values})
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, http::StatusCode, routing};
    use tokio::{net::TcpListener, sync::mpsc, task::JoinSet};

    use super::*;
    use crate::action::tests_kit::change;

    #[tokio::test]
    async fn a_change_is_posted_and_only_success_counts() {
        let (tell, mut told) = mpsc::channel(1);
        let ok = move |Json(body): Json<Value>| async move { tell.send(body).await.unwrap() };
        let router = Router::new()
            .route("/ok", routing::post(ok))
            .route("/bad", routing::post(async || StatusCode::SERVICE_UNAVAILABLE))
            .route("/never", routing::post(std::future::pending::<()>));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let patience = Duration::from_secs(20);
        post(&format!("{base}/ok?x=1"), &change(), patience).await.unwrap();
        let body = told.recv().await.unwrap();
        let sets = json!([{"set": "shop/prod", "version": 7, "changed": ["COLOR", "SIZE"]}]);
        assert_eq!(body, json!({"sets": sets, "values": {"COLOR": "red"}}));
        let bad = post(&format!("{base}/bad"), &change(), patience).await.unwrap_err();
        assert!(bad.ends_with("status 503"), "{bad}");
        let never = post(&format!("{base}/never"), &change(), Duration::from_millis(50)).await;
        assert!(never.unwrap_err().contains("did not answer"));
        let no_address = post("nowhere", &change(), patience).await.unwrap_err();
        assert!(no_address.contains("nowhere"), "{no_address}");
    }
}
