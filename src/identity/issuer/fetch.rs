//! The few requests that are made of an issuer: HTTP/1.1, each on a connection of its own, over TLS that only demos go without.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// The longest answer that is read.
const ANSWER_LIMIT: usize = 256 * 1024;
/// How long an issuer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks an issuer.
#[derive(Clone)]
pub(in crate::identity) struct Fetch {
    tls: TlsConnector,
    /// Only a demo's issuer is asked without TLS.
    plain: bool,
}

/// Why there is no answer. Fit for a log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(String);

impl NoAnswer {
    pub(in crate::identity) fn new(what: &str) -> Self {
        Self(what.to_owned())
    }
}

impl Fetch {
    /// Believes the authorities in `ca`, a PEM text, or the public ones.
    pub(in crate::identity) fn new(ca: Option<&[u8]>, plain: bool) -> Result<Self, String> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(pem) = ca {
            roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate = certificate.map_err(|error| error.to_string())?;
                roots.add(certificate).map_err(|error| error.to_string())?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), plain })
    }

    /// Is this an address that may be asked, or that a browser may be sent to?
    pub(super) fn may_ask(&self, url: &Url) -> bool {
        url.scheme() == "https" || (self.plain && url.scheme() == "http")
    }

    pub(in crate::identity) async fn get<T: DeserializeOwned>(
        &self,
        url: &str,
    ) -> Result<T, NoAnswer> {
        self.ask(Method::GET, url, None, String::new()).await
    }

    pub(in crate::identity) async fn post<T: DeserializeOwned>(
        &self,
        url: &str,
        credentials: Option<String>,
        form: String,
    ) -> Result<T, NoAnswer> {
        self.ask(Method::POST, url, credentials, form).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        url: &str,
        credentials: Option<String>,
        form: String,
    ) -> Result<T, NoAnswer> {
        let answer = self.exchange(method, url, credentials, form);
        let answer = tokio::time::timeout(PATIENCE, answer).await;
        let bytes = answer.map_err(|_| NoAnswer(format!("{url} did not answer in time")))??;
        // What is in it may be a token: never shown.
        serde_json::from_slice(&bytes).map_err(|_| NoAnswer(format!("{url} answered other JSON")))
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        credentials: Option<String>,
        form: String,
    ) -> Result<Bytes, NoAnswer> {
        let no = |what: &dyn std::fmt::Display| NoAnswer(format!("{url}: {what}"));
        let parsed = Url::parse(url).map_err(|error| no(&error))?;
        let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
            return Err(no(&"names no host"));
        };
        let query = parsed.query().map(|query| format!("?{query}")).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{query}", parsed.path()))
            .header(
                header::HOST,
                parsed[url::Position::BeforeHost..url::Position::AfterPort].to_owned(),
            )
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if let Some(credentials) = credentials {
            request = request.header(header::AUTHORIZATION, credentials);
        }
        let request = request.body(Full::new(Bytes::from(form))).map_err(|error| no(&error))?;
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| no(&error))?;
        let answer = match parsed.scheme() {
            "https" => {
                let name = ServerName::try_from(host.to_owned()).map_err(|error| no(&error))?;
                let tls = self.tls.connect(name, tcp).await.map_err(|error| no(&error))?;
                over(tls, request).await
            }
            "http" if self.plain => over(tcp, request).await,
            _ => return Err(no(&"is no https address")),
        };
        answer.map_err(|what| no(&what))
    }
}

async fn over(
    wire: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Bytes, String> {
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(wire)).await.map_err(|error| error.to_string())?;
    let asked = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_LIMIT).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        // A refused code is told by status; the words may repeat what was sent.
        if status.is_success() { Ok(body) } else { Err(format!("answered {status}")) }
    };
    tokio::select! {
        answer = asked => answer,
        ended = connection => Err(ended.err().map_or_else(|| "hung up".to_owned(), |error| error.to_string())),
    }
}
