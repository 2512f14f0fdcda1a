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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address_gate::Ceiling;
    use std::net::SocketAddr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use ureq::Agent;
    use ureq::unversioned::transport::DefaultConnector;

    /// Answers with each of its lists in turn, whatever is asked: a name whose owner changes his mind.
    #[derive(Debug)]
    struct Fake(Vec<&'static str>, AtomicUsize);

    impl Resolver for Fake {
        fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
            let turn = self.1.fetch_add(1, Ordering::SeqCst);
            let mut found = self.empty();
            for address in self.0[turn % self.0.len()].split_whitespace() {
                found.push(address.parse().unwrap());
            }
            Ok(found)
        }
    }

    fn gated(lists: &[&'static str]) -> GatedResolver<Fake> {
        let gate = AddressGate::new(Ceiling::default(), "good.example").unwrap();
        GatedResolver { gate, inner: Fake(lists.to_vec(), AtomicUsize::new(0)) }
    }

    #[test]
    fn each_answer_is_judged_anew() {
        let resolver =
            gated(&["10.0.0.1:80", "169.254.169.254:80 10.0.0.2:80", "169.254.169.254:80", "[::ffff:127.0.0.1]:80"]);
        let uri: Uri = "http://good.example/".parse().unwrap();
        let ask = || {
            let found = resolver.resolve(&uri, &Config::default(), NextTimeout::default());
            found.map(|found| found.iter().copied().collect::<Vec<SocketAddr>>())
        };
        assert_eq!(ask().unwrap(), ["10.0.0.1:80".parse().unwrap()]);
        assert_eq!(ask().unwrap(), ["10.0.0.2:80".parse().unwrap()], "the refused one is left out");
        assert!(matches!(ask(), Err(ureq::Error::Other(_))));
        assert!(matches!(ask(), Err(ureq::Error::Other(_))));
    }

    #[test]
    fn the_client_dials_nothing_that_is_refused() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address: &'static str = Box::leak(listener.local_addr().unwrap().to_string().into_boxed_str());
        let agent = Agent::with_parts(Config::default(), DefaultConnector::default(), gated(&[address]));
        let Err(ureq::Error::Other(error)) = agent.get("http://good.example/").call() else { panic!("it was called") };
        assert!(error.downcast_ref::<Refused>().is_some());
        assert!(listener.accept().is_err());
    }
}
