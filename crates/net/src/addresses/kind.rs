//! What an address is for, by the networks that IANA's registries of special-purpose addresses list.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::network::{same_v4, same_v6};

/// What an address is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Public,
    /// RFC 1918, RFC 6598 (carriers), unique and site-local of IPv6.
    Private,
    Loopback,
    /// 169.254.0.0/16 and fe80::/10: neighbours, and the metadata of most clouds.
    LinkLocal,
    /// Metadata and control of clouds that is not link-local.
    Metadata,
    /// Unspecified, multicast, broadcast, documentation, tunnels whose other end is not known, and what is reserved.
    Special,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Public => "public",
            Kind::Private => "private",
            Kind::Loopback => "loopback",
            Kind::LinkLocal => "link-local",
            Kind::Metadata => "a cloud's metadata",
            Kind::Special => "special",
        })
    }
}

/// Clouds' metadata outside of the link-local networks: AWS and Google by IPv6, Alibaba, Azure's wire server, Oracle.
const METADATA: [IpAddr; 5] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// Networks of IPv4 that are not public, the narrower before the wider (IANA's special-purpose registry).
pub(super) const SPECIAL_V4: &[(Ipv4Addr, u8, Kind)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Kind::Special),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Kind::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Kind::Private),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Kind::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Kind::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Kind::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Kind::Special),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Kind::Special),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Kind::Special),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Kind::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Kind::Special),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Kind::Special),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Kind::Special),
    (Ipv4Addr::new(224, 0, 0, 0), 3, Kind::Special),
];

/// The same of IPv6; what is in none of them and not in 2000::/3 is not given to anybody.
pub(super) const SPECIAL_V6: &[(Ipv6Addr, u8, Kind)] = &[
    (Ipv6Addr::LOCALHOST, 128, Kind::Loopback),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Kind::Special),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Kind::Special),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Kind::Special),
    (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, Kind::Public),
    (Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7, Kind::Private),
    (Ipv6Addr::new(0xfec0, 0, 0, 0, 0, 0, 0, 0), 10, Kind::Private),
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Kind::LinkLocal),
];

impl Kind {
    pub fn of(address: IpAddr) -> Kind {
        let address = canonical(address);
        if METADATA.contains(&address) {
            return Kind::Metadata;
        }
        match address {
            IpAddr::V4(address) => {
                let found = SPECIAL_V4.iter().find(|(network, prefix, _)| same_v4(*network, address, *prefix));
                found.map_or(Kind::Public, |(_, _, kind)| *kind)
            }
            IpAddr::V6(address) => {
                let found = SPECIAL_V6.iter().find(|(network, prefix, _)| same_v6(*network, address, *prefix));
                found.map_or(Kind::Special, |(_, _, kind)| *kind)
            }
        }
    }
}

/// The IPv4 address where an IPv6 one stands for it, so that it cannot be written around the list: mapped, compatible,
/// NAT64's well-known prefix, 6to4.
pub fn canonical(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address else { return address };
    if v6.is_loopback() || v6.is_unspecified() {
        return address;
    }
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0, 0, 0, 0, 0xffff, 0) | (0x64, 0xff9b, 0, 0, 0, 0) => v4(g, h),
        (0x2002, ..) => v4(b, c),
        _ => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_its_kind() {
        for (kind, addresses) in [
            (
                Kind::Public,
                "1.1.1.1 8.8.8.8 172.15.255.255 172.32.0.0 100.128.0.0 169.253.255.255 223.255.255.255 2606:4700::1",
            ),
            (Kind::Private, "10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 fd12::1 fc00::1 fec0::1"),
            (
                Kind::Loopback,
                "127.0.0.1 127.255.255.255 ::1 ::ffff:127.0.0.1 ::ffff:7f00:1 64:ff9b::7f00:1 2002:7f00:1::",
            ),
            (
                Kind::LinkLocal,
                "169.254.169.254 169.254.170.2 fe80::1 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe ::169.254.169.254",
            ),
            (Kind::LinkLocal, "64:ff9b::a9fe:a9fe 2002:a9fe:a9fe:: ::ffff:0:169.254.169.254"),
            (Kind::Metadata, "fd00:ec2::254 fd20:ce::254 100.100.100.200 168.63.129.16 ::ffff:100.100.100.200"),
            (Kind::Special, "0.0.0.0 0.1.2.3 :: 224.0.0.1 239.1.1.1 240.0.0.1 255.255.255.255 192.0.2.1 198.18.0.1"),
            (Kind::Special, "ff02::1 2001:db8::1 2001::1 100::1 64:ff9b:1::1 4000::1 5f00::1 ::ffff:0.0.0.0"),
        ] {
            for address in addresses.split(' ') {
                assert_eq!(Kind::of(address.parse().unwrap()), kind, "{address}");
            }
        }
    }
}
