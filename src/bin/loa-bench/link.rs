//! How the dispatcher's client reaches a simulator: what whatever is compared with it must do as well.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use loa::config::provider::Connection;
use loa::domain::device::Provider;
use loa::stage::Stage;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Connections to a simulator.
pub struct Link {
    /// As many as are configured.
    pub connections: usize,
    /// On each: as many as are configured and the simulator allows.
    pub streams: usize,
}

/// Which TLS two agreed on, in OpenSSL's words.
#[derive(Debug, PartialEq, Eq)]
pub struct Tls {
    /// `TLSv1.3`.
    pub protocol: String,
    /// `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
}

impl Link {
    /// To the simulator of `provider`.
    pub async fn to(
        stage: &Stage,
        provider: Provider,
        configured: &Connection,
    ) -> anyhow::Result<Self> {
        let settings: Value = stage.simulators.get("settings").await?;
        let allowed = settings[provider.as_str()]["link"]["max_concurrent_streams"].as_u64();
        let allowed = usize::try_from(allowed.context("loa-sim names no stream limit")?)?;
        Ok(Self { connections: configured.connections, streams: configured.streams.min(allowed) })
    }
}

impl Tls {
    /// What a client made like the dispatcher's (`push/transport/dial.rs`) gets at `url`.
    pub async fn of_our_client(ca: &Path, url: &str) -> anyhow::Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_file_iter(ca)? {
            roots.add(certificate?)?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let url = url::Url::parse(url)?;
        let host = url.host_str().context("the simulator's URL has no host")?.to_owned();
        let tcp = TcpStream::connect((host.as_str(), url.port().unwrap_or(443))).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let stream = connector.connect(ServerName::try_from(host)?, tcp).await?;
        let (_, agreed) = stream.get_ref();
        let protocol = agreed.protocol_version().and_then(|version| version.as_str());
        let cipher = agreed.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str());
        Ok(Self {
            protocol: protocol.context("no TLS version")?.replace('_', "."),
            cipher: cipher.context("no cipher")?.replacen("TLS13_", "TLS_", 1),
        })
    }

    /// What h2load says that it got.
    pub fn told_by_h2load(said: &str) -> anyhow::Result<Self> {
        let after = |name: &str| {
            let found = said.lines().find_map(|line| line.strip_prefix(name));
            let found = found.map(|value| value.trim().to_owned());
            found.with_context(|| format!("h2load says no {name}\n{said}"))
        };
        Ok(Self { protocol: after("TLS Protocol:")?, cipher: after("Cipher:")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_h2load_says_of_its_tls_is_found() {
        let said = "starting benchmark...\nTLS Protocol: TLSv1.3\nCipher: TLS_AES_256_GCM_SHA384\n\
                    Server Temp Key: X25519 253 bits\n";
        let (protocol, cipher) = ("TLSv1.3".to_owned(), "TLS_AES_256_GCM_SHA384".to_owned());
        assert_eq!(Tls::told_by_h2load(said).ok(), Some(Tls { protocol, cipher }));
        assert!(Tls::told_by_h2load("finished in 1.00s").is_err());
    }
}
