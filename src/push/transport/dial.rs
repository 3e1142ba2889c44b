//! Establishing a connection: names, addresses, TLS, and the first words of HTTP/2.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use h2::client::SendRequest;
use h2::{Ping, PingPong};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::Body;
use super::gather::{Gathering, Wire};
use super::pool::Shared;

/// A connection on which the peer has spoken.
pub(super) struct Dialled {
    pub(super) handle: SendRequest<Body>,
    pub(super) wire: Wire,
    pub(super) pings: PingPong,
}

/// Whose certificates are believed.
#[derive(Clone)]
pub struct Trust {
    config: Arc<ClientConfig>,
}

impl Trust {
    /// Mozilla's roots, as compiled in.
    pub fn public() -> Result<Self, String> {
        let roots = webpki_roots::TLS_SERVER_ROOTS.to_vec();
        Self::of(RootCertStore { roots })
    }

    /// The certificates in a PEM file and no other: for simulators.
    pub fn only(file: &Path) -> Result<Self, String> {
        let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
        let pem = std::fs::read(file).map_err(|error| unreadable(&error))?;
        Self::only_pem(&pem).map_err(|error| unreadable(&error))
    }

    /// The certificates in a PEM text and no other.
    pub fn only_pem(pem: &[u8]) -> Result<Self, String> {
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|error| error.to_string())?;
            store.add(certificate).map_err(|error| error.to_string())?;
        }
        if store.is_empty() { Err("holds no certificate".to_owned()) } else { Self::of(store) }
    }

    fn of(roots: RootCertStore) -> Result<Self, String> {
        // Named explicitly: another crate in the tree may bring a second provider, and then there is no default.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self { config: Arc::new(config) })
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.config.clone())
    }
}

/// Connects, and returns once the peer's SETTINGS are known. The text of an error is fit for a log.
pub(super) async fn connect(shared: &Shared, nth: usize) -> Result<Dialled, String> {
    let tcp = reach(shared, nth).await?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let tls = shared
        .connector
        .connect(shared.name.clone(), tcp)
        .await
        .map_err(|error| format!("TLS: {error}"))?;
    if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
        return Err("the peer does not offer HTTP/2".to_owned());
    }
    let (near, gathered) = Gathering::over(tls);
    let (handle, connection) = h2::client::Builder::new()
        .enable_push(false)
        // After a slow spell answers come to streams that were given up. By default h2 remembers 50 of those for a second, counts
        // every further late answer as an error, and gives up the connection at 1,024: with it everything under way.
        .max_concurrent_reset_streams(4096)
        .reset_stream_duration(Duration::from_mins(1))
        .max_local_error_reset_streams(None)
        .initial_max_send_streams(1)
        .initial_connection_window_size(1 << 20)
        .max_header_list_size(16 * 1024)
        .handshake(near)
        .await
        .map_err(|error| error.to_string())?;
    greet(handle, Wire { connection, gathered }).await
}

/// A PING answered: the peer's SETTINGS, which come first, are then known, and the connection demonstrably works.
async fn greet(handle: SendRequest<Body>, mut wire: Wire) -> Result<Dialled, String> {
    let mut pings = wire.connection.ping_pong().ok_or("h2 gave no PING handle")?;
    pings.send_ping(Ping::opaque()).map_err(|error| error.to_string())?;
    poll_fn(|cx| {
        if let Poll::Ready(pong) = pings.poll_pong(cx) {
            return Poll::Ready(pong.map(|_| ()).map_err(|error| error.to_string()));
        }
        match wire.poll(cx) {
            Poll::Ready(Ok(())) => Poll::Ready(Err("closed by the peer at once".to_owned())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await?;
    Ok(Dialled { handle, wire, pings })
}

/// Resolves afresh and tries the addresses in turn, beginning with another one for each slot.
async fn reach(shared: &Shared, nth: usize) -> Result<TcpStream, String> {
    let authority = &shared.authority;
    let found = tokio::net::lookup_host((authority.host.as_str(), authority.port))
        .await
        .map_err(|error| format!("name resolution: {error}"))?;
    let mut addresses: Vec<SocketAddr> = found.collect();
    if !shared.manner.allow_private {
        // After resolution, where a name that points inwards can no longer hide.
        addresses.retain(|address| is_public(address.ip()));
    }
    if addresses.is_empty() {
        return Err("the name leads to no address that may be used".to_owned());
    }
    let first = nth % addresses.len();
    addresses.rotate_left(first);
    addresses.truncate(3);
    let share = shared.manner.connect_timeout / 3;
    let mut last = String::new();
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error.to_string(),
            Err(_) => last = format!("no connection within {share:?}"),
        }
    }
    Err(last)
}

/// Whether an address is reachable from the whole Internet: not loopback, private, link-local, shared, multicast, reserved.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let protocol_or_benchmark = (a, b, c) == (192, 0, 0) || (a == 198 && (b & 0xfe) == 18);
            !(a == 0
                || a >= 240
                || v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_multicast()
                || v4.is_documentation()
                || shared
                || protocol_or_benchmark)
        }
        IpAddr::V6(v6) => {
            if let Some(mapped) = v6.to_ipv4_mapped() {
                return is_public(IpAddr::V4(mapped));
            }
            // 2000::/3 is all that is allotted to the public; 6to4, Teredo and the documentation range hide or mean nothing.
            let segments = v6.segments();
            let global = segments[0] & 0xe000 == 0x2000;
            let tunnel = segments[0] == 0x2002 || (segments[0] == 0x2001 && segments[1] < 0x0200);
            let documentation = segments[0] == 0x2001 && segments[1] == 0x0db8;
            global && !tunnel && !documentation
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_public_internet_are_public() {
        let public = ["142.250.199.74", "17.188.143.34", "2404:6800:4005:80a::200a"];
        let inward = [
            "0.0.0.0",
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "203.0.113.9",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "2001::1",
            "64:ff9b::7f00:1",
        ];
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        for address in public {
            assert!(is_public(parse(address)), "{address}");
        }
        for address in inward {
            assert!(!is_public(parse(address)), "{address}");
        }
    }
}
