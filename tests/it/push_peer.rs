//! A peer that speaks HTTP/2 by the frame, so that tests can misbehave exactly as providers do.
//!
//! It knows as little of HTTP/2 as that takes: requests are stream numbers, answers a status and a body.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use loa::push::transport::{Authority, Trust};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const REFUSED_STREAM: u32 = 7;

/// A certificate for `localhost`, and what believes it.
pub struct Certificate {
    pub pem: String,
    server: Arc<rustls::ServerConfig>,
}

impl Certificate {
    pub fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
            .expect("a certificate");
        let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)
            .expect("a server configuration");
        server.alpn_protocols = vec![b"h2".to_vec()];
        Self { pem: made.cert.pem(), server: Arc::new(server) }
    }

    pub fn trust(&self) -> Trust {
        Trust::only_pem(self.pem.as_bytes()).expect("a trusted certificate")
    }

    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.server.clone())
    }
}

pub fn authority(port: u16) -> Authority {
    Authority::of(&format!("https://localhost:{port}").parse().expect("a URL"))
        .expect("an authority")
}

/// Listens; every accepted connection is a [`Session`] with the given stream allowance.
pub struct Peer {
    pub certificate: Certificate,
    pub port: u16,
    sessions: mpsc::UnboundedReceiver<Session>,
}

impl Peer {
    pub async fn start(allowance: u32) -> Self {
        let listener = TcpListener::bind(("localhost", 0)).await.expect("a port");
        Self::on(listener, Certificate::new(), allowance)
    }

    pub fn on(listener: TcpListener, certificate: Certificate, allowance: u32) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let acceptor = certificate.acceptor();
        let (sender, sessions) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(tls) = acceptor.accept(tcp).await else {
                    continue;
                };
                if sender.send(Session::begin(tls, allowance).await).is_err() {
                    break;
                }
            }
        });
        Self { certificate, port, sessions }
    }

    /// The next connection.
    pub async fn session(&mut self) -> Session {
        self.sessions.recv().await.expect("the listener lives")
    }

    /// Whether a connection is waiting to be looked at.
    pub fn has_session(&self) -> bool {
        !self.sessions.is_empty()
    }
}

/// One connection as the peer sees it.
pub struct Session {
    writer: Arc<Mutex<WriteHalf<TlsStream<TcpStream>>>>,
    requests: mpsc::UnboundedReceiver<u32>,
    echoes: mpsc::UnboundedReceiver<()>,
    reader: tokio::task::JoinHandle<()>,
    deaf: Arc<AtomicBool>,
}

impl Session {
    async fn begin(tls: TlsStream<TcpStream>, allowance: u32) -> Self {
        let (reader, writer) = tokio::io::split(tls);
        let writer = Arc::new(Mutex::new(writer));
        let deaf = Arc::new(AtomicBool::new(false));
        let (sender, requests) = mpsc::unbounded_channel();
        let (echo, echoes) = mpsc::unbounded_channel();
        let reader = tokio::spawn(read(reader, writer.clone(), deaf.clone(), sender, echo));
        let session = Self { writer, requests, echoes, reader, deaf };
        session.allow(allowance).await;
        session
    }

    /// The stream of the next complete request; `None` when the client has closed.
    pub async fn request(&mut self) -> Option<u32> {
        self.requests.recv().await
    }

    /// The streams of the next `n` requests.
    pub async fn requests(&mut self, n: usize) -> Vec<u32> {
        let mut streams = Vec::new();
        while streams.len() < n {
            streams.push(self.request().await.expect("another request"));
        }
        streams
    }

    /// Whether a request is waiting to be looked at. Only meaningful when nothing more can arrive.
    pub fn has_request(&self) -> bool {
        !self.requests.is_empty()
    }

    /// A PING there and back: what the client had written before is read.
    pub async fn echo(&mut self) {
        self.write(PING, 0, 0, b"settled?").await;
        self.echoes.recv().await.expect("the client lives");
    }

    pub async fn answer(&self, stream: u32) {
        // `:status: 200` of HPACK's static table
        self.write(HEADERS, END_STREAM | END_HEADERS, stream, &[0x88]).await;
    }

    /// The head of an acceptance, and then nothing.
    pub async fn begin_answer(&self, stream: u32) {
        self.write(HEADERS, END_HEADERS, stream, &[0x88]).await;
    }

    /// 400, so that the body is looked at.
    pub async fn answer_with_body(&self, stream: u32, body: &[u8]) {
        self.write(HEADERS, END_HEADERS, stream, &[0x8c]).await;
        let mut chunks = body.chunks(16 * 1024).peekable();
        while let Some(chunk) = chunks.next() {
            let flags = if chunks.peek().is_none() { END_STREAM } else { 0 };
            self.write(DATA, flags, stream, chunk).await;
        }
    }

    pub async fn allow(&self, streams: u32) {
        let mut setting = vec![0, 3];
        setting.extend_from_slice(&streams.to_be_bytes());
        self.write(SETTINGS, 0, 0, &setting).await;
    }

    pub async fn refuse(&self, stream: u32) {
        self.write(RST_STREAM, 0, stream, &REFUSED_STREAM.to_be_bytes()).await;
    }

    pub async fn go_away(&self, last_stream: u32) {
        let mut payload = last_stream.to_be_bytes().to_vec();
        payload.extend_from_slice(&[0; 4]);
        payload.extend_from_slice(br#"{"reason":"Shutdown"}"#);
        self.write(GOAWAY, 0, 0, &payload).await;
    }

    /// Stops answering PINGs.
    pub fn play_dead(&self) {
        self.deaf.store(true, Ordering::Relaxed);
    }

    /// Ends the connection without a word.
    pub async fn cut(self) {
        self.reader.abort();
        let _ = self.writer.lock().await.shutdown().await;
    }

    async fn write(&self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        write(&self.writer, kind, flags, stream, payload).await;
    }
}

async fn write(
    writer: &Mutex<WriteHalf<TlsStream<TcpStream>>>,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    let mut writer = writer.lock().await;
    // A client that is gone is what some tests are about.
    let _ = writer.write_all(&frame).await;
    let _ = writer.flush().await;
}

async fn read(
    mut reader: ReadHalf<TlsStream<TcpStream>>,
    writer: Arc<Mutex<WriteHalf<TlsStream<TcpStream>>>>,
    deaf: Arc<AtomicBool>,
    requests: mpsc::UnboundedSender<u32>,
    echoes: mpsc::UnboundedSender<()>,
) {
    let mut preface = [0; 24];
    if reader.read_exact(&mut preface).await.is_err() {
        return;
    }
    let mut head = [0; 9];
    while reader.read_exact(&mut head).await.is_ok() {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
        let mut payload = vec![0; length as usize];
        if reader.read_exact(&mut payload).await.is_err() {
            return;
        }
        match (head[3], head[4]) {
            (SETTINGS, flags) if flags & ACK == 0 => write(&writer, SETTINGS, ACK, 0, &[]).await,
            (PING, flags) if flags & ACK == 0 && !deaf.load(Ordering::Relaxed) => {
                write(&writer, PING, ACK, 0, &payload).await;
            }
            (PING, flags) if flags & ACK != 0 => {
                let _ = echoes.send(());
            }
            (DATA | HEADERS, flags) if flags & END_STREAM != 0 => {
                let _ = requests.send(stream);
            }
            _ => {}
        }
    }
}
