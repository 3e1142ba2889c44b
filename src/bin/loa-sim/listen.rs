//! Threads, each with a runtime of its own on one core, and the connections shared out among them in turn.

use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::{Context, Result};
use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

use crate::exchange::Provider;
use crate::service::Service;
use crate::{connection, http1};

/// One port and what is behind it.
pub struct Post {
    /// Bound and non-blocking.
    pub listener: TcpListener,
    /// How TLS is spoken.
    pub tls: Arc<ServerConfig>,
    /// Who answers.
    pub service: Arc<Service>,
}

type Arrival = (std::net::TcpStream, Arc<ServerConfig>, Arc<Service>);

/// Serves all posts on `threads` threads until `stop` changes.
pub fn spawn(
    posts: Vec<Post>,
    threads: usize,
    stop: &watch::Receiver<bool>,
) -> Result<Vec<JoinHandle<()>>> {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..threads.max(1)).map(|_| mpsc::unbounded_channel::<Arrival>()).unzip();
    let mut posts = Some(posts);
    let mut handles = Vec::new();
    for (index, arrivals) in receivers.into_iter().enumerate() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let accepting = posts.take().unwrap_or_default();
        let senders = senders.clone();
        let stop = stop.clone();
        let thread = std::thread::Builder::new().name(format!("sim-{index}"));
        let handle =
            thread.spawn(move || runtime.block_on(run(accepting, senders, arrivals, stop)));
        handles.push(handle.context("cannot start a thread")?);
    }
    Ok(handles)
}

async fn run(
    posts: Vec<Post>,
    senders: Vec<mpsc::UnboundedSender<Arrival>>,
    mut arrivals: mpsc::UnboundedReceiver<Arrival>,
    mut stop: watch::Receiver<bool>,
) {
    for (index, post) in posts.into_iter().enumerate() {
        tokio::spawn(accept(post, senders.clone(), index));
    }
    drop(senders);
    loop {
        tokio::select! {
            _ = stop.changed() => return,
            arrival = arrivals.recv() => match arrival {
                Some(arrival) => drop(tokio::spawn(greet(arrival))),
                None => return,
            },
        }
    }
}

/// Hands each connection to the next thread. Starts at another thread for each post, so that few connections spread out.
async fn accept(post: Post, senders: Vec<mpsc::UnboundedSender<Arrival>>, start: usize) {
    let Ok(listener) = tokio::net::TcpListener::from_std(post.listener) else { return };
    for sender in senders.iter().cycle().skip(start) {
        let stream = loop {
            match listener.accept().await.and_then(|(stream, _)| stream.into_std()) {
                Ok(stream) => break stream,
                // Out of file descriptors, most likely: others must close first.
                Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            }
        };
        if sender.send((stream, Arc::clone(&post.tls), Arc::clone(&post.service))).is_err() {
            return;
        }
    }
}

async fn greet((stream, tls, service): Arrival) {
    if !service.link().reachable {
        return;
    }
    let Ok(stream) = TcpStream::from_std(stream) else { return };
    // Without it small answers wait for the peer's acknowledgements; where it fails they merely do.
    let _ = stream.set_nodelay(true);
    let Ok(stream) = TlsAcceptor::from(tls).accept(stream).await else { return };
    // APNs has never spoken anything else, so that clients get through which forget to say so (aioapns).
    let only_h2 = service.plays(Some(Provider::Apns), None);
    if only_h2 || stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        connection::serve(stream, service).await;
    } else {
        http1::serve(stream, service).await;
    }
}
