//! The public feed under `wrk`, beside a handler that answers as many bytes from memory and does nothing else, on the same server.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::routing::get;
use loa::stage::Stage;

use super::statistics::{Figure, median, ratio};

/// How often each is asked, in turns.
const TURNS: usize = 3;

/// Requests a second of the feed, and the same over the static handler's.
pub async fn measure(
    stage: &Stage,
    seconds: u32,
) -> anyhow::Result<(Option<Figure>, Option<Figure>)> {
    let feed = format!("{}/public/alerts", stage.url);
    let answer = stage.client.get(&feed).send().await?.error_for_status()?;
    let kind = answer.headers().get(CONTENT_TYPE).cloned().context("the feed has no type")?;
    let tag = answer.headers().get(ETAG).cloned().context("the feed has no ETag")?;
    let body = answer.bytes().await?;
    let fixed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/", listener.local_addr()?);
        let handler = move || {
            let (kind, tag, body): (_, _, Bytes) = (kind.clone(), tag.clone(), body.clone());
            async move { ([(CONTENT_TYPE, kind), (ETAG, tag)], body) }
        };
        let app = Router::new().route("/", get(handler));
        // It ends with the process.
        std::thread::spawn(move || serve(listener, app));
        url
    };
    let (mut ours, mut bracketing) = (Vec::new(), vec![wrk(&fixed, seconds)?]);
    for _ in 0..TURNS {
        ours.push(wrk(&feed, seconds)?);
        bracketing.push(wrk(&fixed, seconds)?);
    }
    let ratio = ratio(&ours, &bracketing);
    Ok((median(ours), ratio))
}

/// The static handler, on a runtime like that of `loa serve`.
fn serve(listener: tokio::net::TcpListener, app: Router) {
    let listener = listener.into_std();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    if let (Ok(listener), Ok(runtime)) = (listener, runtime) {
        runtime.block_on(async {
            if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                drop(axum::serve(listener, app).await);
            }
        });
    }
}

/// Requests a second by `wrk`, which must meet nothing but 2xx.
fn wrk(url: &str, seconds: u32) -> anyhow::Result<f64> {
    let duration = format!("{}s", Duration::from_secs(seconds.into()).as_secs());
    let done = Command::new("wrk")
        .args(["-t", "1", "-c", "32", "-d", &duration, "-H", "accept: application/json", url])
        .output()
        .context("wrk; `make bench` installs it")?;
    let said = String::from_utf8_lossy(&done.stdout);
    ensure!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "wrk met errors:\n{said}"
    );
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    rate.and_then(|rate| rate.trim().parse().ok()).with_context(|| format!("wrk says:\n{said}"))
}
