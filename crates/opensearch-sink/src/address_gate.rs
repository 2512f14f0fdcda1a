//! Which addresses may be dialled, asked when a name has been resolved: what the name said before does not count.
//!
//! Loopback and private networks are allowed, since search clusters stand there. Addresses that only a machine's own
//! surroundings answer are not: link-local ones, where clouds keep the credentials of the machine, those of metadata
//! services elsewhere, and what is no single host.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use walspring_net::addresses::{Kind, canonical};
use walspring_net::http::Gate;

#[derive(Debug)]
pub struct AddressGate;

/// An address that is not dialled.
#[derive(Debug)]
pub struct AddressRefused {
    pub address: IpAddr,
    pub why: &'static str,
}

impl Gate for AddressGate {
    type Refusal = AddressRefused;

    fn check(&self, _: &str, address: IpAddr) -> Result<(), AddressRefused> {
        match refusal(address) {
            None => Ok(()),
            Some(why) => Err(AddressRefused { address, why }),
        }
    }
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}", self.address, self.why)
    }
}

/// Google's metadata service by IPv6, which lies in a private network.
const GOOGLE_METADATA: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254));

/// Why an address is not dialled; `None`: it may be.
fn refusal(address: IpAddr) -> Option<&'static str> {
    if is_taken_as_ipv6(address) {
        return None;
    }
    match Kind::of(address) {
        Kind::LinkLocal => Some("a link-local address (where metadata services are)"),
        Kind::Metadata => Some("the address of a metadata service"),
        _ if address == GOOGLE_METADATA => Some("the address of a metadata service"),
        Kind::Special if is_no_host(canonical(address)) => Some("no address of a host"),
        _ => None,
    }
}

fn is_no_host(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.octets()[0] == 0 || address.is_broadcast() || address.is_multicast(),
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast(),
    }
}

/// Two spellings of IPv4 addresses are not seen through here: `::ffff:0:a.b.c.d`, and `::` with sixteen bits at most.
fn is_taken_as_ipv6(address: IpAddr) -> bool {
    let IpAddr::V6(address) = address else { return false };
    match address.segments() {
        [0, 0, 0, 0, 0xffff, 0, ..] => true,
        [0, 0, 0, 0, 0, 0, 0, low] => low != 0,
        _ => false,
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
            "fd20:ce::254",
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

    /// As it is, not as it should be: the gate of the HTTP sink sees through these spellings.
    #[test]
    fn two_spellings_are_not_seen_through() {
        for address in ["::ffff:0:169.254.169.254", "::0.0.1.2"] {
            assert!(refusal(address.parse().unwrap()).is_none(), "{address}");
        }
    }
}
