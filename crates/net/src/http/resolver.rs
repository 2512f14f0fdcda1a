//! Names to addresses, with those left out that may not be called. The client dials what it gets from here and nothing
//! else, so the check is of the address that is really called, whatever the name meant a moment before.

use std::fmt;
use std::net::IpAddr;

use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use crate::addresses::{AddressGate, Refusal};

/// Says which addresses may be called.
pub trait Gate: fmt::Debug + Send + Sync + 'static {
    type Refusal: fmt::Debug + fmt::Display + Send + Sync + 'static;

    /// Whether the address that `host` was resolved to may be called.
    fn check(&self, host: &str, address: IpAddr) -> Result<(), Self::Refusal>;
}

impl Gate for AddressGate {
    type Refusal = Refusal;

    fn check(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        AddressGate::check(self, host, address)
    }
}

pub struct GatedResolver<G, R = DefaultResolver> {
    gate: G,
    /// Asks the system; another one in tests.
    inner: R,
}

impl<G> GatedResolver<G> {
    pub fn new(gate: G) -> GatedResolver<G> {
        GatedResolver { gate, inner: DefaultResolver::default() }
    }
}

/// No address of the host may be called: why, for each of them, in the order of the answer. Never empty.
#[derive(Debug)]
pub struct AllRefused<E>(pub Vec<E>);

impl<E: fmt::Display> fmt::Display for AllRefused<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(1).try_for_each(|refusal| refusal.fmt(f))
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for AllRefused<E> {}

impl<G: fmt::Debug, R> fmt::Debug for GatedResolver<G, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatedResolver").field("gate", &self.gate).finish()
    }
}

impl<G: Gate, R: Resolver> Resolver for GatedResolver<G, R> {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = self.inner.resolve(uri, config, timeout)?;
        let host = uri.host().unwrap_or_default();
        let mut allowed = self.empty();
        let mut refused = Vec::new();
        for address in found.iter() {
            match self.gate.check(host, address.ip()) {
                Ok(()) => allowed.push(*address),
                Err(refusal) => refused.push(refusal),
            }
        }
        match (allowed.is_empty(), refused.is_empty()) {
            (false, _) => Ok(allowed),
            (true, false) => Err(ureq::Error::Other(Box::new(AllRefused(refused)))),
            (true, true) => Err(ureq::Error::HostNotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addresses::Ceiling;
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

    fn gated(lists: &[&'static str]) -> GatedResolver<AddressGate, Fake> {
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
        assert!(error.downcast_ref::<AllRefused<Refusal>>().is_some());
        assert!(listener.accept().is_err());
    }
}
