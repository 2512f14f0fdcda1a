//! Two lists are intersected: the operator's *ceiling*, and a connector's own list below it. Whoever may write connectors
//! can so reach what the operator lets them, and no loopback service or cloud metadata of the worker's machine.
//!
//! **Invariant**: an address of a special kind (loopback, link-local, metadata, multicast, reserved) is let through only by
//! a ceiling's entry that names that kind or lies wholly inside it; a network such as `0.0.0.0/0` does not.

use std::net::IpAddr;

use thiserror::Error;

use super::kind::{Kind, canonical};
use super::network::Network;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refusal {
    /// By the worker's list.
    #[error("{0} ({1}) may not be called: the worker's list does not have it")]
    Ceiling(IpAddr, Kind),
    /// By the connector's own.
    #[error("{0} may not be called: the connector's list has neither it nor its name")]
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

#[cfg(test)]
mod tests {
    use super::*;

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
