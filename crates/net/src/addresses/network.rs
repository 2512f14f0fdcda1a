//! A network of addresses, or one address.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::kind::{Kind, SPECIAL_V4, SPECIAL_V6, canonical};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// `ADDRESS/PREFIX` or `ADDRESS`.
    pub(super) fn parse(text: &str) -> Option<Network> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= bits)?,
            None => bits,
        };
        // An address that stands for an IPv4 one is compared as that.
        match (canonical(address), prefix) {
            (v4 @ IpAddr::V4(_), 128) => Some(Network { address: v4, prefix: 32 }),
            _ => Some(Network { address, prefix }),
        }
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => same_v4(network, address, self.prefix),
            (IpAddr::V6(network), IpAddr::V6(address)) => same_v6(network, address, self.prefix),
            _ => false,
        }
    }

    /// Whether it lies inside one of the networks of a kind; a single address does.
    pub(super) fn is_within(&self, kind: Kind) -> bool {
        match self.address {
            IpAddr::V4(address) => {
                self.prefix == 32
                    || SPECIAL_V4.iter().any(|(network, prefix, of)| {
                        *of == kind && *prefix <= self.prefix && same_v4(*network, address, *prefix)
                    })
            }
            IpAddr::V6(address) => {
                self.prefix == 128
                    || SPECIAL_V6.iter().any(|(network, prefix, of)| {
                        *of == kind && *prefix <= self.prefix && same_v6(*network, address, *prefix)
                    })
            }
        }
    }
}

/// The highest `prefix` of 128 bits.
fn mask(prefix: u128) -> u128 {
    if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) }
}

pub(super) fn same_v4(network: Ipv4Addr, address: Ipv4Addr, prefix: u8) -> bool {
    let mask = mask(u128::from(prefix) + 96) as u32;
    u32::from(network) & mask == u32::from(address) & mask
}

pub(super) fn same_v6(network: Ipv6Addr, address: Ipv6Addr, prefix: u8) -> bool {
    let mask = mask(prefix.into());
    u128::from(network) & mask == u128::from(address) & mask
}
