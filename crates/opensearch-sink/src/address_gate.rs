//! Which addresses may be dialled, asked when a name has been resolved: what the name said before does not count.
//!
//! Loopback and private networks are allowed, since search clusters stand there. Addresses that only a machine's own
//! surroundings answer are not: link-local ones, where clouds keep the credentials of the machine, those of metadata
//! services elsewhere, and what is no single host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Why an address is not dialled; `None`: it may be.
pub fn refusal(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => refusal_v4(address),
        IpAddr::V6(address) => refusal_v6(address),
    }
}

fn refusal_v4(address: Ipv4Addr) -> Option<&'static str> {
    // Alibaba's, Oracle's and Azure's; all others are link-local.
    const METADATA: [Ipv4Addr; 3] =
        [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192), Ipv4Addr::new(168, 63, 129, 16)];
    if address.is_link_local() {
        Some("a link-local address (where metadata services are)")
    } else if METADATA.contains(&address) {
        Some("the address of a metadata service")
    } else if address.octets()[0] == 0 || address.is_broadcast() || address.is_multicast() {
        Some("no address of a host")
    } else {
        None
    }
}

fn refusal_v6(address: Ipv6Addr) -> Option<&'static str> {
    // Amazon's and Google's.
    const METADATA: [Ipv6Addr; 2] =
        [Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)];
    if let Some(inner) = v4_inside(address) {
        return refusal_v4(inner);
    }
    if address.is_unicast_link_local() {
        Some("a link-local address (where metadata services are)")
    } else if METADATA.contains(&address) {
        Some("the address of a metadata service")
    } else if address.is_unspecified() || address.is_multicast() {
        Some("no address of a host")
    } else {
        None
    }
}

/// The IPv4 address that a mapped, compatible, NAT64 or 6to4 address leads to.
fn v4_inside(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let segments = address.segments();
    let v4 = |high: u16, low: u16| {
        let [a, b] = high.to_be_bytes();
        let [c, d] = low.to_be_bytes();
        Ipv4Addr::new(a, b, c, d)
    };
    match segments {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some(v4(high, low)),
        [0x2002, high, low, ..] => Some(v4(high, low)),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => Some(v4(high, low)),
        _ => None,
    }
}

/// All addresses of a host are refused.
#[derive(Debug)]
pub struct AddressRefused {
    pub address: IpAddr,
    pub why: &'static str,
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.address, self.why)
    }
}

impl std::error::Error for AddressRefused {}

/// Resolves as always, and leaves out what may not be dialled.
#[derive(Debug, Default)]
pub struct GatedResolver {
    inner: DefaultResolver,
}

impl Resolver for GatedResolver {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        let mut refused = None;
        for address in found.iter().copied() {
            match refusal(SocketAddr::ip(&address)) {
                None => allowed.push(address),
                Some(why) => refused = Some(AddressRefused { address: address.ip(), why }),
            }
        }
        match refused {
            Some(refused) if allowed.is_empty() => Err(Error::Other(Box::new(refused))),
            _ => Ok(allowed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_addresses_are_refused_in_every_spelling() {
        for address in [
            "169.254.169.254",
            "169.254.1.1",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "0.1.2.3",
            "::",
            "224.0.0.1",
            "255.255.255.255",
            "ff02::1",
        ] {
            assert!(refusal(address.parse().unwrap()).is_some(), "{address}");
        }
        for address in ["127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fd12::1", "93.184.216.34", "2606:2800::1"] {
            assert!(refusal(address.parse().unwrap()).is_none(), "{address}");
        }
    }
}
