//! The wire between loa and a server: forwards, until it is told to hang or to break.
//!
//! A wire that hangs keeps its connections open and says nothing, as a host that vanished or a proxy that hangs: nobody gets a reset.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards a port of its own to a server. Ends with the last handle.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

/// Connections are counted from 0.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// How many there were so far.
    opened: u64,
    /// Those below hang.
    hanging: u64,
    /// Those below are gone.
    broken: u64,
}

impl Wire {
    /// A wire to the server at `host:port`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn to(server: String) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State::default());
        let accepting = tokio::spawn(accept(listener, server, state.clone()));
        Ok(Self { address, state, accepting })
    }

    /// Where to connect instead of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every connection hangs, new ones as well, until [`Wire::resume`]. Whether there are any.
    pub fn hang(&self) -> bool {
        self.state.send_modify(|state| state.hanging = u64::MAX);
        self.is_used()
    }

    /// The connections of now hang; new ones pass. Whether there are any.
    pub fn hang_present(&self) -> bool {
        self.state.send_modify(|state| state.hanging = state.opened);
        self.is_used()
    }

    /// Whatever hangs goes on where it stopped; nothing is lost in between.
    pub fn resume(&self) {
        self.state.send_modify(|state| state.hanging = 0);
    }

    /// The connections of now are closed; new ones pass. Whether there are any.
    pub fn cut(&self) -> bool {
        self.state.send_modify(|state| state.broken = state.opened);
        self.is_used()
    }

    fn is_used(&self) -> bool {
        // Only connections look at the state.
        self.state.receiver_count() > 0
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
        self.state.send_modify(|state| state.broken = u64::MAX);
    }
}

async fn accept(listener: TcpListener, server: String, state: watch::Sender<State>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut number = 0;
        state.send_modify(|state| {
            number = state.opened;
            state.opened += 1;
        });
        tokio::spawn(connection(number, client, server.clone(), state.subscribe()));
    }
}

async fn connection(
    number: u64,
    client: TcpStream,
    server: String,
    mut state: watch::Receiver<State>,
) {
    let flow = state.clone();
    let forwarding = async {
        flows(number, &mut flow.clone()).await;
        let server = TcpStream::connect(server).await?;
        server.set_nodelay(true)?;
        client.set_nodelay(true)?;
        let (mut from_client, mut to_client) = client.into_split();
        let (mut from_server, mut to_server) = server.into_split();
        // One side's end is both sides' end: neither protocol knows a half-closed connection.
        tokio::select! {
            ended = pump(number, &mut from_client, &mut to_server, flow.clone()) => ended,
            ended = pump(number, &mut from_server, &mut to_client, flow.clone()) => ended,
        }
    };
    tokio::select! {
        ended = forwarding => drop::<io::Result<()>>(ended),
        _ = state.wait_for(|state| number < state.broken) => {}
    }
}

/// Waits until this connection does not hang.
async fn flows(number: u64, state: &mut watch::Receiver<State>) {
    // The sender lives as long as the connection is wanted.
    drop(state.wait_for(|state| number >= state.hanging).await);
}

async fn pump(
    number: u64,
    from: &mut (impl tokio::io::AsyncRead + Unpin),
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    mut state: watch::Receiver<State>,
) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        flows(number, &mut state).await;
        let read = from.read(&mut buffer).await?;
        // What came while it hung waits here.
        flows(number, &mut state).await;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
    }
}
