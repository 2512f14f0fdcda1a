//! Names to addresses, with those left out that may not be called. The client dials what it gets from here and nothing
//! else, so the check is of the address that is really called, whatever the name meant a moment before.

use std::fmt;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::address_gate::{AddressGate, Refusal};

pub struct GatedResolver<R = DefaultResolver> {
    pub gate: AddressGate,
    /// Asks the system; another one in tests.
    pub inner: R,
}

/// No address of the host may be called.
#[derive(Debug)]
pub struct Refused(pub Refusal);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refused {}

impl<R> fmt::Debug for GatedResolver<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatedResolver").field("gate", &self.gate).finish()
    }
}

impl<R: Resolver> Resolver for GatedResolver<R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        let mut allowed = self.empty();
        let mut refused = None;
        for address in found.iter() {
            match self.gate.check(host, address.ip()) {
                Ok(()) => allowed.push(*address),
                Err(refusal) => refused = refused.or(Some(refusal)),
            }
        }
        match refused {
            Some(refusal) if allowed.is_empty() => Err(ureq::Error::Other(Box::new(Refused(refusal)))),
            _ if allowed.is_empty() => Err(ureq::Error::HostNotFound),
            _ => Ok(allowed),
        }
    }
}
