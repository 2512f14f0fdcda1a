//! Authentication: trust, cleartext, md5, SCRAM-SHA-256 with and without channel binding.
//!
//! Under SCRAM the server proves itself too, and `AuthenticationOk` before its proof is refused. A hostile iteration
//! count is refused by `postgres-protocol` (at most 100,000; RUSTSEC-2026-0179).

use super::backend::Body;
use super::certificate::end_point_hash;
use super::config::{ChannelBinding, ConnectConfig};
use super::error::PgError;
use super::frontend;
use postgres_protocol::authentication::{md5_hash, sasl};

/// One authentication, driven by the server's `R` messages.
pub(crate) struct Authentication<'a> {
    config: &'a ConnectConfig,
    /// The server's certificate, DER, if the connection is encrypted.
    certificate: Option<Vec<u8>>,
    step: Step,
    method: Option<&'static str>,
}

enum Step {
    /// Nothing asked yet.
    Begin,
    /// A password was sent; the server's word is all there is.
    PasswordSent,
    Scram(Box<sasl::ScramSha256>, bool),
    /// The server has shown that it knows the password. With channel binding or without.
    Proven(bool),
}

/// What to do after a message.
pub(crate) enum Next {
    /// Send what was appended to the buffer (perhaps nothing), and read on.
    Continue,
    Done,
}

impl<'a> Authentication<'a> {
    pub fn new(config: &'a ConnectConfig, certificate: Option<Vec<u8>>) -> Self {
        Self { config, certificate, step: Step::Begin, method: None }
    }

    /// How the password was asked for, as in pg_hba.conf; `None` if it was not.
    pub fn method(&self) -> Option<&'static str> {
        self.method
    }

    /// Takes one `Authentication…` message's body; appends the answer to `out`.
    pub fn receive(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<Next, PgError> {
        let mut body = Body(body);
        let request = body.u32()?;
        match (request, &mut self.step) {
            (0, Step::Scram(..)) => {
                return Err(PgError::Auth("the server skipped its proof of the password".to_owned()));
            }
            (0, step) => {
                if self.config.ssl.channel_binding == ChannelBinding::Require && !matches!(step, Step::Proven(true)) {
                    return Err(binding_required("the server authenticated us without it"));
                }
                return Ok(Next::Done);
            }
            (3, Step::Begin) => {
                let password = self.password("cleartext")?;
                frontend::password(out, password)?;
                self.method = Some("password");
                self.step = Step::PasswordSent;
            }
            (5, Step::Begin) => {
                let salt = body.array::<4>()?;
                let hash = md5_hash(self.config.user.as_bytes(), self.password("md5")?, salt);
                frontend::password(out, hash.as_bytes())?;
                self.method = Some("md5");
                self.step = Step::PasswordSent;
            }
            (10, Step::Begin) => self.begin_scram(body, out)?,
            (11, Step::Scram(scram, _)) => {
                scram.update(body.0).map_err(|error| PgError::Auth(format!("SCRAM authentication failed: {error}")))?;
                frontend::sasl_response(out, scram.message())?;
            }
            (12, Step::Scram(scram, bound)) => {
                scram
                    .finish(body.0)
                    .map_err(|error| PgError::Auth(format!("the server's SCRAM proof is wrong: {error}")))?;
                self.step = Step::Proven(*bound);
            }
            (2, _) => return Err(unsupported("Kerberos V5")),
            (7 | 8, _) => return Err(unsupported("GSSAPI")),
            (9, _) => return Err(unsupported("SSPI")),
            (3 | 5 | 10 | 11 | 12, _) => {
                return Err(PgError::Auth(format!("authentication request {request} came out of order")));
            }
            _ => return Err(PgError::Auth(format!("authentication request {request} is not known"))),
        }
        Ok(Next::Continue)
    }

    fn begin_scram(&mut self, mut body: Body<'_>, out: &mut Vec<u8>) -> Result<(), PgError> {
        let (mut plain, mut plus) = (false, false);
        loop {
            match body.cstr()? {
                b"" => break,
                name if name == sasl::SCRAM_SHA_256.as_bytes() => plain = true,
                name if name == sasl::SCRAM_SHA_256_PLUS.as_bytes() => plus = true,
                _ => {}
            }
        }
        let wanted = self.config.ssl.channel_binding;
        let hash = match wanted {
            ChannelBinding::Disable => None,
            _ => self.certificate.as_deref().and_then(end_point_hash),
        };
        let (mechanism, binding) = match hash {
            Some(hash) if plus => (sasl::SCRAM_SHA_256_PLUS, sasl::ChannelBinding::tls_server_end_point(hash)),
            _ if wanted == ChannelBinding::Require => {
                return Err(binding_required("the server does not offer it on this connection"));
            }
            _ if !plain => return Err(unsupported("a SASL mechanism other than SCRAM-SHA-256")),
            // "We could, and you did not offer it": lets the server notice if someone removed its offer.
            Some(_) => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unrequested()),
            None => (sasl::SCRAM_SHA_256, sasl::ChannelBinding::unsupported()),
        };
        let scram = sasl::ScramSha256::new(self.password("scram-sha-256")?, binding);
        frontend::sasl_initial_response(out, mechanism, scram.message())?;
        let bound = mechanism == sasl::SCRAM_SHA_256_PLUS;
        self.method = Some(if bound { "scram-sha-256-plus" } else { "scram-sha-256" });
        self.step = Step::Scram(Box::new(scram), bound);
        Ok(())
    }

    /// The password, if the method may be used at all.
    fn password(&self, method: &str) -> Result<&'a [u8], PgError> {
        if self.config.ssl.channel_binding == ChannelBinding::Require && method != "scram-sha-256" {
            return Err(binding_required(&format!("the server asks for {method} authentication")));
        }
        let user = &self.config.user;
        match &self.config.password {
            Some(password) => Ok(password.expose()),
            None => Err(PgError::Auth(format!(
                "the server asks user \"{user}\" for a password ({method}), and none is configured"
            ))),
        }
    }
}

fn unsupported(method: &str) -> PgError {
    PgError::Auth(format!("the server asks for {method}, which is not supported; use scram-sha-256 in pg_hba.conf"))
}

fn binding_required(reason: &str) -> PgError {
    PgError::Auth(format!("channel binding is required, and {reason}"))
}
