//! A provider that answers as a test tells it and remembers what it was asked: for the three clients' requests.

use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use time::macros::datetime;
use tokio::net::TcpListener;
use uuid::Uuid;

use loa::clock::TestClock;
use loa::config::Config;
use loa::config::provider::Connection;
use loa::domain::id::IncidentId;
use loa::domain::message::{CollapseId, PushMessage, Style};

use crate::push_peer::Certificate;

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Asked {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// Path, headers by name and body as a snapshot shows them; `secrets` are replaced by their names.
    pub fn shown(&self) -> serde_json::Value {
        let headers: std::collections::BTreeMap<_, _> = self
            .headers
            .keys()
            .filter(|name| *name != "authorization")
            .map(|name| (name.to_string(), self.header(name.as_str()).to_owned()))
            .collect();
        let body = serde_json::from_slice(&self.body).unwrap_or(serde_json::Value::Null);
        serde_json::json!({"path": self.path, "headers": headers, "body": body})
    }
}

pub type Reply = (u16, Vec<(&'static str, String)>, String);

/// Accepted, without a word.
pub fn ok() -> Reply {
    (200, vec![], String::new())
}

pub fn json(status: u16, body: &serde_json::Value) -> Reply {
    (status, vec![], body.to_string())
}

/// One host that speaks HTTP/2.
pub struct ProviderPeer {
    pub certificate: Certificate,
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    directory: std::path::PathBuf,
}

impl ProviderPeer {
    pub async fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("localhost", 0)).await.expect("a port");
        let certificate = Certificate::new();
        let url =
            format!("https://localhost:{}", listener.local_addr().expect("an address").port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let acceptor = certificate.acceptor();
        let (reply, log) = (Arc::new(reply), asked.clone());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(tls) = acceptor.accept(tcp).await else {
                    continue;
                };
                let (reply, log) = (reply.clone(), log.clone());
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(tls).await.expect("HTTP/2");
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(answer(request, respond, reply.clone(), log.clone()));
                    }
                });
            }
        });
        let directory = std::env::temp_dir().join(format!("loa-push-{}", Uuid::now_v7()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let peer = Self { certificate, url, asked, directory };
        peer.file("ca.pem", peer.certificate.pem.as_bytes());
        peer
    }

    /// Puts a file beside the certificate and returns its path.
    pub fn file(&self, name: &str, content: &[u8]) -> std::path::PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, content).expect("a file");
        path
    }

    /// Everything asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("no panic").clone()
    }

    pub fn asked_at(&self, path: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path.starts_with(path)).collect()
    }

    /// As in the built-in configuration, but believing this peer.
    pub fn connection(&self) -> Connection {
        Connection { ca_file: Some(self.directory.join("ca.pem")), ..defaults().fcm.connection }
    }
}

impl Drop for ProviderPeer {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    reply: Arc<impl Fn(&Asked) -> Reply>,
    log: Arc<Mutex<Vec<Asked>>>,
) {
    let (head, mut stream) = request.into_parts();
    let mut body = BytesMut::new();
    while let Some(Ok(chunk)) = stream.data().await {
        let _ = stream.flow_control().release_capacity(chunk.len());
        body.extend_from_slice(&chunk);
    }
    let path = head.uri.path().to_owned();
    let asked = Asked { path, headers: head.headers, body: body.freeze() };
    let (status, headers, text) = reply(&asked);
    log.lock().expect("no panic").push(asked);
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    let mut sender = respond
        .send_response(response.body(()).expect("a response"), text.is_empty())
        .expect("sent");
    if !text.is_empty() {
        sender.send_data(Bytes::from(text), true).expect("sent");
    }
}

/// The built-in configuration.
pub fn defaults() -> Config {
    Config::for_testing()
}

/// Half past eight in the morning of the flood.
pub fn clock() -> Arc<TestClock> {
    Arc::new(TestClock::at(datetime!(2026-11-21 08:30 +7)))
}

/// A message in the wording a province uses, good for one hour.
pub fn message(style: Style) -> PushMessage {
    let incident = IncidentId::from(Uuid::from_u128(0x0193_5000_0000_7000_8000_0000_0000_0001));
    let (kind, severity, thread, title, body) = match style {
        Style::Emergency => (
            "emergency",
            "extreme",
            incident.to_string(),
            "Cảnh báo lũ quét, sạt lở đất",
            "Rời ngay khỏi khu vực ven sông, suối và sườn dốc, lên nơi cao.\nMưa rất to, nước suối Nậm Pàn đang lên nhanh.",
        ),
        Style::Calm => (
            "all_clear",
            "extreme",
            incident.to_string(),
            "BÁO YÊN: Cảnh báo lũ quét, sạt lở đất",
            "Nguy hiểm đã qua. Bà con có thể trở về nhà.",
        ),
        Style::Warning { .. } => (
            "warning",
            "severe",
            incident.to_string(),
            "Rét đậm, rét hại diện rộng",
            "Giữ ấm cho người già, trẻ nhỏ; che chắn chuồng trại. Nhiệt độ thấp nhất 4–7 °C.",
        ),
        Style::Announcement => (
            "announcement",
            "minor",
            "news".to_owned(),
            "Tiêm vắc-xin sởi – rubella đợt 2",
            "Đưa trẻ 1–5 tuổi đến trạm y tế xã từ ngày 23/11.",
        ),
        Style::Personal { .. } => (
            "personal",
            "",
            "feedback".to_owned(),
            "Phản ánh của bạn đã có kết quả",
            "Mở ứng dụng để xem.",
        ),
    };
    PushMessage {
        id: Uuid::from_u128(0x0193_5000_0000_7000_8000_0000_0000_0002),
        version: 1,
        collapse: CollapseId::of(incident),
        thread,
        style,
        kind,
        severity,
        title: title.to_owned(),
        body: body.to_owned(),
        url: Some("https://canhbao.example.vn/a/1".to_owned()),
        expires: datetime!(2026-11-21 09:30 +7),
        live: vec![(Uuid::from_u128(0x0193_5000_0000_7000_8000_0000_0000_0002), 1)],
        replaces: match style {
            Style::Calm => vec![(Uuid::from_u128(0x0193_5000_0000_7000_8000_0000_0000_0003), 1)],
            _ => Vec::new(),
        },
    }
}

/// The ways a message looks and sounds, in the order of `docs/providers.md` §4.
pub const STYLES: [(&str, Style); 5] = [
    ("a_emergency", Style::Emergency),
    ("b_announcement", Style::Announcement),
    ("c_personal", Style::Personal { action_needed: false }),
    ("d_warning", Style::Warning { time_sensitive: true }),
    ("e_calm", Style::Calm),
];
