//! Which address a request comes from, as far as it can be believed.
//!
//! `X-Forwarded-For` is written by anybody; only the entries that our own proxies appended count. It serves rate limits, never
//! authority.

use std::net::IpAddr;

use axum::http::HeaderMap;

/// The client's address: the peer itself, or, behind `trusted_proxies` proxies, the entry the outermost of them appended.
pub fn client(peer: Option<IpAddr>, headers: &HeaderMap, trusted_proxies: u8) -> String {
    let forwarded: Vec<&str> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let believed = match usize::from(trusted_proxies) {
        0 => None,
        proxies => {
            forwarded.len().checked_sub(proxies).and_then(|at| forwarded[at].parse::<IpAddr>().ok())
        }
    };
    believed.or(peer).map_or_else(|| "unknown".to_owned(), |address| address.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_our_own_proxies_wrote_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(
            "x-forwarded-for",
            axum::http::HeaderValue::from_static("6.6.6.6, 1.2.3.4, 10.0.0.2"),
        );
        let peer = Some(IpAddr::from([10, 0, 0, 1]));
        assert_eq!(client(peer, &headers, 0), "10.0.0.1");
        assert_eq!(client(peer, &headers, 1), "10.0.0.2");
        assert_eq!(client(peer, &headers, 2), "1.2.3.4");
        assert_eq!(client(peer, &headers, 9), "10.0.0.1");
        assert_eq!(client(None, &HeaderMap::new(), 1), "unknown");
    }
}
