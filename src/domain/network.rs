//! Whom an internet address belongs to, as far as counting goes.

use std::net::{IpAddr, Ipv6Addr};

/// The subscriber behind an address: one has a whole /64 of IPv6 addresses (RFC 6177), and one of IPv4 at most. What is counted per
/// address is counted by this, or a subscriber would have 2⁶⁴ tries.
pub fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_is_one_ipv4_address_or_a_64_of_ipv6() {
        let of = |text: &str| subscriber(text.parse().unwrap()).to_string();
        assert_eq!(of("203.0.113.7"), "203.0.113.7");
        assert_eq!(of("::ffff:203.0.113.7"), "203.0.113.7");
        assert_eq!(of("2001:db8:1:2:a:b:c:d"), "2001:db8:1:2::");
        assert_ne!(of("2001:db8:1:3::1"), of("2001:db8:1:2::1"));
    }
}
