//! Which addresses may be called. Asked at dial time, for each address that a name was resolved to: what a name says, or
//! said before, guards nothing.
//!
//! Two lists are intersected: the operator's *ceiling* (the worker's `walspring.http.allow.addresses`), and the
//! connector's own list (`walspring.http.allow`). Whoever may write connectors can so reach what the operator lets them,
//! and no loopback service or cloud metadata of the worker's machine.
//!
//! **Invariant**: an address of a special kind (loopback, link-local, metadata, multicast, reserved) is let through only by
//! a ceiling's entry that names that kind or lies wholly inside it; a network such as `0.0.0.0/0` does not.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Entry {
    Kind(Kind),
    Network(Network),
    /// A name; with `suffix` all names below it (`*.example.com`).
    Host {
        name: String,
        suffix: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u8,
}

/// The operator's list: kinds and networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceiling(Vec<Entry>);

impl Ceiling {
    pub const DEFAULT: &str = "public,private";

    /// Words `public`, `private`, `loopback`; networks such as `10.1.0.0/16`; addresses.
    pub fn parse(list: &str) -> Result<Ceiling, String> {
        let entries = list.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| match item {
            "public" => Ok(Entry::Kind(Kind::Public)),
            "private" => Ok(Entry::Kind(Kind::Private)),
            "loopback" => Ok(Entry::Kind(Kind::Loopback)),
            _ => Network::parse(item).map(Entry::Network).ok_or_else(|| {
                format!("{item} is none of public, private, loopback, an address, or a network such as 10.1.0.0/16")
            }),
        });
        entries.collect::<Result<_, _>>().map(Ceiling)
    }

    fn allows(&self, address: IpAddr) -> bool {
        let kind = Kind::of(address);
        self.0.iter().any(|entry| match entry {
            Entry::Kind(allowed) => *allowed == kind,
            Entry::Network(network) => {
                network.contains(address) && (matches!(kind, Kind::Public | Kind::Private) || network.is_within(kind))
            }
            Entry::Host { .. } => false,
        })
    }
}

impl Default for Ceiling {
    fn default() -> Ceiling {
        Ceiling(vec![Entry::Kind(Kind::Public), Entry::Kind(Kind::Private)])
    }
}

/// The ceiling with a connector's list below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressGate {
    ceiling: Ceiling,
    /// Empty: all that the ceiling allows.
    allowed: Vec<Entry>,
}

/// Why an address is not called. Says no more than the configuration does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// By the worker's list.
    Ceiling(IpAddr, Kind),
    /// By the connector's own.
    Connector(IpAddr),
}

impl AddressGate {
    /// `allowed` is a list of host names (`hooks.example.com`, `*.example.com`), networks and addresses.
    pub fn new(ceiling: Ceiling, allowed: &str) -> Result<AddressGate, String> {
        let entries = allowed.split(',').map(str::trim).filter(|item| !item.is_empty()).map(|item| {
            if let Some(network) = Network::parse(item) {
                return Ok(Entry::Network(network));
            }
            let (name, suffix) = match item.strip_prefix("*.") {
                Some(name) => (name, true),
                None => (item, false),
            };
            let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
            // What looks like an address and is none would be a name that nobody has: say it.
            let numeric = name.rsplit('.').next().is_some_and(|last| last.starts_with(|c: char| c.is_ascii_digit()));
            if name.is_empty() || !name.chars().all(fits) || numeric {
                return Err(format!(
                    "{item} is no host name (as hooks.example.com or *.example.com), address or network"
                ));
            }
            Ok(Entry::Host { name: name.trim_end_matches('.').to_ascii_lowercase(), suffix })
        });
        Ok(AddressGate { ceiling, allowed: entries.collect::<Result<_, _>>()? })
    }

    /// Whether the address that `host` was resolved to may be called.
    pub fn check(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        let address = canonical(address);
        if !self.ceiling.allows(address) {
            return Err(Refusal::Ceiling(address, Kind::of(address)));
        }
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let allowed = self.allowed.is_empty()
            || self.allowed.iter().any(|entry| match entry {
                Entry::Network(network) => network.contains(address),
                Entry::Host { name, suffix: false } => *name == host,
                Entry::Host { name, suffix: true } => {
                    host.strip_suffix(&**name).is_some_and(|rest| rest.ends_with('.'))
                }
                Entry::Kind(kind) => *kind == Kind::of(address),
            });
        if allowed { Ok(()) } else { Err(Refusal::Connector(address)) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Ceiling(address, kind) => {
                write!(
                    f,
                    "{address} ({kind}) may not be called: the worker's walspring.http.allow.addresses does not have it"
                )
            }
            Refusal::Connector(address) => {
                write!(
                    f,
                    "{address} may not be called: the connector's walspring.http.allow has neither it nor its name"
                )
            }
        }
    }
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
const SPECIAL_V4: &[(Ipv4Addr, u8, Kind)] = &[
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
const SPECIAL_V6: &[(Ipv6Addr, u8, Kind)] = &[
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
fn canonical(address: IpAddr) -> IpAddr {
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

impl Network {
    /// `ADDRESS/PREFIX` or `ADDRESS`.
    fn parse(text: &str) -> Option<Network> {
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

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => same_v4(network, address, self.prefix),
            (IpAddr::V6(network), IpAddr::V6(address)) => same_v6(network, address, self.prefix),
            _ => false,
        }
    }

    /// Whether it lies inside one of the networks of a kind; a single address does.
    fn is_within(&self, kind: Kind) -> bool {
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

fn same_v4(network: Ipv4Addr, address: Ipv4Addr, prefix: u8) -> bool {
    let mask = mask(u128::from(prefix) + 96) as u32;
    u32::from(network) & mask == u32::from(address) & mask
}

fn same_v6(network: Ipv6Addr, address: Ipv6Addr, prefix: u8) -> bool {
    let mask = mask(prefix.into());
    u128::from(network) & mask == u128::from(address) & mask
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

    /// `+`: allowed, `-`: refused by the ceiling, `!`: by the connector's list.
    #[test]
    fn both_lists_are_asked() {
        for (ceiling, allowed, host, cases) in [
            (
                "public,private",
                "",
                "h",
                "+1.1.1.1 +10.0.0.1 -127.0.0.1 -169.254.169.254 -0.0.0.0 -::1 -fe80::1 +fd12::1",
            ),
            (
                "public,private",
                "",
                "h",
                "-::ffff:127.0.0.1 -::ffff:169.254.169.254 -fd00:ec2::254 -100.100.100.200 -224.0.0.1",
            ),
            ("public", "", "h", "+1.1.1.1 -10.0.0.1 -192.168.0.1 -fd12::1 -100.64.0.1 -::ffff:10.0.0.1"),
            ("public", "10.0.0.0/8", "h", "-10.0.0.1 !1.1.1.1"),
            ("10.1.0.0/16", "", "h", "+10.1.2.3 +::ffff:10.1.2.3 -10.2.0.1 -1.1.1.1"),
            (
                "0.0.0.0/0,::/0",
                "",
                "h",
                "+1.1.1.1 +10.0.0.1 -127.0.0.1 -169.254.169.254 -::1 -fe80::1 -0.0.0.0 -168.63.129.16",
            ),
            ("0.0.0.0/0,::/0", "", "h", "-100.100.100.200 -224.0.0.1 +2606:4700::1 -::ffff:127.0.0.1"),
            ("loopback", "", "h", "+127.0.0.1 +::1 -1.1.1.1"),
            ("127.0.0.1,::1", "", "h", "+127.0.0.1 +::1 -127.0.0.2"),
            ("169.254.10.0/24", "", "h", "+169.254.10.1 -169.254.169.254"),
            ("169.254.0.0/15", "", "h", "-169.254.169.254"),
            ("", "", "h", "-1.1.1.1 -10.0.0.1"),
            (
                "public,private",
                "10.0.0.0/8,192.168.1.5",
                "h",
                "+10.9.9.9 +192.168.1.5 !192.168.1.6 !1.1.1.1 -127.0.0.1",
            ),
            ("public,private", "127.0.0.1,169.254.169.254,::1", "h", "-127.0.0.1 -169.254.169.254 -::1"),
            ("public,private", "Hooks.Example.com", "hooks.example.com.", "+1.1.1.1 -127.0.0.1 -169.254.169.254"),
            ("public,private", "hooks.example.com", "evil.example.com", "!1.1.1.1"),
            ("public,private", "*.example.com", "a.b.example.com", "+1.1.1.1"),
            ("public,private", "*.example.com", "example.com", "!1.1.1.1"),
            ("public,private", "*.example.com", "notexample.com", "!1.1.1.1"),
            ("public,private", "*.example.com", "example.com.evil.net", "!1.1.1.1"),
        ] {
            let gate = AddressGate::new(Ceiling::parse(ceiling).unwrap(), allowed).unwrap();
            for case in cases.split(' ') {
                let (expected, address) = case.split_at(1);
                let found = match gate.check(host, address.parse().unwrap()) {
                    Ok(()) => "+",
                    Err(Refusal::Ceiling(..)) => "-",
                    Err(Refusal::Connector(_)) => "!",
                };
                assert_eq!(found, expected, "{address} of {host} by {ceiling} and {allowed}");
            }
        }
        assert_eq!(Ceiling::parse(Ceiling::DEFAULT), Ok(Ceiling::default()));
    }

    #[test]
    fn wrong_lists_are_refused() {
        for ceiling in ["everything", "10.0.0.0/33", "::/129", "10.0.0/8", "example.com", "link-local"] {
            assert!(Ceiling::parse(ceiling).is_err(), "{ceiling}");
        }
        for allowed in ["http://x", "a b", "*.", "10.0.0.0/33", "10.0.0", "x/24", "ex*mple.com"] {
            assert!(AddressGate::new(Ceiling::default(), allowed).is_err(), "{allowed}");
        }
    }
}
