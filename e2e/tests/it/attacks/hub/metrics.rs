//! S16: what clients make up does not become a series of a metric.

use everwire_testkit::http;

use super::Stage;

/// Names of methods and groups that one client makes up.
const NAMES: usize = 100_000;

/// Names and labels of all series.
async fn series(stage: &Stage) -> Vec<String> {
    let page = stage.everwire.get("/metrics").await.body;
    let lines = page.lines().filter(|line| !line.starts_with('#'));
    let mut series: Vec<_> =
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect();
    series.sort_unstable();
    series
}

#[tokio::test]
async fn attack_s16_names_that_clients_make_up_are_no_series() {
    let mut stage = Stage::with("rate_max = 0").await;
    let to = stage.everwire.address();
    // What is counted by a closed set of labels may appear with its first event.
    oddities(&mut stage, 1).await;
    let before = series(&stage).await;
    let mut client = stage.client().await;
    for block in 0..NAMES / 1000 {
        let names = (0..1000).map(|number| {
            let name = format!("n{block}-{number}");
            format!(
                "{{\"type\":1,\"target\":\"{name}\",\"arguments\":[]}}\u{1e}\
                 {{\"type\":1,\"target\":\"Join\",\"arguments\":[\"{name}\"]}}\u{1e}\
                 {{\"type\":1,\"target\":\"Leave\",\"arguments\":[\"{name}\"]}}\u{1e}"
            )
        });
        client.say(&names.collect::<String>()).await;
        client.is_served().await;
    }
    oddities(&mut stage, 300).await;
    for number in 0..100 {
        let target = format!("/hub?id={number}");
        http::request_with(to, "GET", &target, &[], b"").await;
    }
    let after = series(&stage).await;
    assert_eq!(before, after);
    stage.holds("100,000 names", 10 << 20).await;
}

/// Paths, agents, methods and close codes that nobody has seen before.
async fn oddities(stage: &mut Stage, count: u16) {
    let to = stage.everwire.address();
    for number in 0..count {
        let agent = format!("agent-{number}");
        let headers = [("User-Agent", agent.as_str()), ("Origin", "null")];
        let (path, method) = (format!("/hub/{number}"), format!("M{number}"));
        http::request_with(to, "GET", &path, &headers[..1], b"").await;
        http::request_with(to, &method, "/hub", &headers, b"").await;
        http::request_with(to, "GET", &format!("/other/{number}"), &headers, b"").await;
        let mut client = stage.client().await;
        let code = 4000 + number;
        let close = everwire_testkit::scripted::frame::Frame::close(code, &agent).masked();
        client.wire.send_frame(&close).await;
        assert_eq!(client.end().await.code, Some(code));
    }
}
