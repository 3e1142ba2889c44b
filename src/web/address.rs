//! Which address a request comes from, as far as it can be believed.
//!
//! `X-Forwarded-For` is written by anybody; only the entries that our own proxies appended count. It serves rate limits, never
//! authority.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};

/// The client's address: the peer itself, or, behind `trusted_proxies` proxies, the entry the outermost of them appended.
pub fn client(extensions: &Extensions, headers: &HeaderMap, trusted_proxies: u8) -> IpAddr {
    // Absent only where the router is served without connection info, as tests may.
    let peer = extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
    forwarded(headers, trusted_proxies).unwrap_or(peer)
}

/// Each proxy appends who called it; what stands further left was written by the caller and proves nothing.
fn forwarded(headers: &HeaderMap, trusted_proxies: u8) -> Option<IpAddr> {
    let all: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let proxies = usize::from(trusted_proxies);
    let at = all.len().checked_sub(proxies).filter(|_| proxies > 0)?;
    all.get(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_own_proxies_wrote_is_believed() {
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 443))));
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "6.6.6.6, 198.51.100.1".parse().expect("a header"));
        headers.append("x-forwarded-for", "10.0.0.2".parse().expect("a header"));
        let from = |proxies| client(&extensions, &headers, proxies).to_string();
        assert_eq!(from(0), "10.0.0.1");
        assert_eq!(from(1), "10.0.0.2");
        assert_eq!(from(2), "198.51.100.1");
        assert_eq!(from(9), "10.0.0.1", "fewer proxies answered than we have");
        assert_eq!(client(&extensions, &HeaderMap::new(), 1).to_string(), "10.0.0.1");
        headers.append("x-forwarded-for", "not an address".parse().expect("a header"));
        assert_eq!(client(&extensions, &headers, 1).to_string(), "10.0.0.1");
    }
}
