//! The simulator's own certificate authority, made once per directory, and the TLS side of its listeners.
//! Clients must be told to trust `ca.pem`; nothing here is trusted by default anywhere.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Certificate chain and key of the listeners, created on first use in `dir` and read from there afterwards.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads `ca.pem`, `server.pem` and `server-key.pem`, or makes all three.
    pub fn prepare(dir: &Path, listen: IpAddr) -> Result<Self> {
        let [ca, server, key] =
            ["ca.pem", "server.pem", "server-key.pem"].map(|name| dir.join(name));
        if !(ca.exists() && server.exists() && key.exists()) {
            let made = make(listen)?;
            std::fs::write(&ca, made.ca)?;
            std::fs::write(&key, made.key)?;
            std::fs::write(&server, made.server)?;
        }
        let chain = CertificateDer::pem_file_iter(&server)
            .and_then(Iterator::collect)
            .with_context(|| format!("{} holds no certificate", server.display()))?;
        let key = PrivateKeyDer::from_pem_file(&key)
            .with_context(|| format!("{} holds no key", key.display()))?;
        Ok(Self { chain, key })
    }

    /// A TLS 1.2/1.3 configuration that agrees to exactly these application protocols.
    pub fn server_config(&self, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

struct Made {
    ca: String,
    server: String,
    key: String,
}

fn make(listen: IpAddr) -> Result<Made> {
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(DnType::CommonName, "loa-sim test authority");
    ca.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    let ca_key = KeyPair::generate()?;
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let names = ["localhost", "127.0.0.1", "::1", &listen.to_string()].map(str::to_owned);
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "loa-sim");
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate()?;
    let leaf_certificate = leaf.signed_by(&leaf_key, &issuer)?;
    Ok(Made {
        ca: ca_certificate.pem(),
        server: leaf_certificate.pem(),
        key: leaf_key.serialize_pem(),
    })
}
