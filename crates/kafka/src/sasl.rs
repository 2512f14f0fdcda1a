//! SASL's side of a client: PLAIN (RFC 4616), SCRAM-SHA-256 and -512 (RFC 5802, 7677), OAUTHBEARER (RFC 7628).
//!
//! Pure: it makes and checks messages, the connection carries them. A server that cannot prove that it knows the
//! password, or asks for an absurd number of iterations, is refused. Passwords are taken as they are (no SASLprep),
//! as Kafka does.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::{digest, hmac, pbkdf2, rand::SecureRandom};

/// Kafka's own default is 4096; a hostile server could ask for hours.
const ITERATIONS_MAX: u32 = 1_000_000;
/// Kafka's `ScramMechanism` refuses less.
const ITERATIONS_MIN: u32 = 4096;

/// How to log in. `Debug` shows no secret.
#[derive(Clone)]
pub enum SaslConfig {
    Plain { username: String, password: String },
    ScramSha256 { username: String, password: String },
    ScramSha512 { username: String, password: String },
    OAuthBearer { tokens: Arc<dyn TokenSource> },
}

/// Where OAUTHBEARER tokens come from: asked for each new connection, off the network thread, so it may wait.
pub trait TokenSource: Send + Sync {
    /// A token that is still valid; the error goes to the operator and must not hold a secret.
    fn token(&self) -> Result<String, String>;
}

/// A token that does not change.
pub struct StaticToken(pub String);

impl TokenSource for StaticToken {
    fn token(&self) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

impl SaslConfig {
    /// As in `sasl.mechanism`.
    pub fn mechanism(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::ScramSha256 { .. } => "SCRAM-SHA-256",
            Self::ScramSha512 { .. } => "SCRAM-SHA-512",
            Self::OAuthBearer { .. } => "OAUTHBEARER",
        }
    }
}

impl fmt::Debug for SaslConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.mechanism())
    }
}

/// What the client does after the server's message.
pub enum Step {
    /// Send this and go on.
    Send(Vec<u8>),
    /// The exchange is over and the server is who it says.
    Done,
}

/// One exchange.
pub enum Exchange {
    /// Everything is in the first message.
    OneMessage(Vec<u8>),
    Scram(Box<Scram>),
}

impl Exchange {
    /// `token` is the answer of the token source, for OAUTHBEARER.
    pub fn new(config: &SaslConfig, token: Option<String>) -> Result<Self, String> {
        Ok(match config {
            SaslConfig::Plain { username, password } => {
                Self::OneMessage(format!("\0{username}\0{password}").into_bytes())
            }
            SaslConfig::OAuthBearer { .. } => {
                let token = token.ok_or("no OAUTHBEARER token")?;
                if token.contains(['\u{1}', '\n', '\r']) {
                    return Err("the OAUTHBEARER token has a control character".into());
                }
                Self::OneMessage(format!("n,,\u{1}auth=Bearer {token}\u{1}\u{1}").into_bytes())
            }
            SaslConfig::ScramSha256 { username, password } => {
                Self::Scram(Box::new(Scram::new(Hash::Sha256, username, password, nonce()?)))
            }
            SaslConfig::ScramSha512 { username, password } => {
                Self::Scram(Box::new(Scram::new(Hash::Sha512, username, password, nonce()?)))
            }
        })
    }

    /// The client's first message.
    pub fn first(&self) -> Vec<u8> {
        match self {
            Self::OneMessage(message) => message.clone(),
            Self::Scram(scram) => format!("n,,{}", scram.client_first).into_bytes(),
        }
    }

    pub fn next(&mut self, server: &[u8]) -> Result<Step, String> {
        match self {
            Self::OneMessage(_) if server.is_empty() => Ok(Step::Done),
            // RFC 7628 §3.2.2: the reason comes as a challenge, in JSON.
            Self::OneMessage(_) => Err(printable(&String::from_utf8_lossy(server))),
            Self::Scram(scram) => scram.next(server),
        }
    }
}

fn nonce() -> Result<String, String> {
    let mut bytes = [0; 24];
    ring::rand::SystemRandom::new().fill(&mut bytes).map_err(|_| "no random numbers")?;
    Ok(BASE64.encode(bytes))
}

#[derive(Clone, Copy)]
enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn digest(self, bytes: &[u8]) -> digest::Digest {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes)
    }
}

/// A SCRAM exchange without channel binding, which Kafka does not offer.
pub struct Scram {
    hash: Hash,
    password: String,
    nonce: String,
    /// `client-first-message-bare`.
    client_first: String,
    /// Set once our proof has gone out.
    expected_signature: Option<hmac::Key>,
    auth_message: String,
}

impl Scram {
    fn new(hash: Hash, username: &str, password: &str, nonce: String) -> Self {
        let username = username.replace('=', "=3D").replace(',', "=2C");
        Self {
            hash,
            password: password.to_owned(),
            client_first: format!("n={username},r={nonce}"),
            nonce,
            expected_signature: None,
            auth_message: String::new(),
        }
    }

    fn next(&mut self, server: &[u8]) -> Result<Step, String> {
        let server = std::str::from_utf8(server).map_err(|_| "the server's SCRAM message is not text")?;
        match self.expected_signature.take() {
            None => self.prove(server).map(Step::Send),
            Some(key) => self.check(server, &key).map(|()| Step::Done),
        }
    }

    fn prove(&mut self, server_first: &str) -> Result<Vec<u8>, String> {
        let (mut nonce, mut salt, mut iterations) = (None, None, None);
        for attribute in server_first.split(',') {
            match attribute.split_once('=') {
                Some(("r", value)) => nonce = Some(value),
                Some(("s", value)) => salt = BASE64.decode(value).ok(),
                Some(("i", value)) => iterations = value.parse::<u32>().ok(),
                Some(("e", error)) => return Err(format!("the server refused: {}", printable(error))),
                Some(("m", _)) => return Err("the server asks for an extension of SCRAM that we do not know".into()),
                _ => {}
            }
        }
        let (Some(nonce), Some(salt), Some(iterations)) = (nonce, salt, iterations) else {
            return Err("the server's SCRAM message is incomplete".into());
        };
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err("the server's nonce does not continue ours".into());
        }
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(format!(
                "the server asks for {iterations} SCRAM iterations; {ITERATIONS_MIN} to {ITERATIONS_MAX} are accepted"
            ));
        }
        let iterations = NonZeroU32::new(iterations).ok_or("no SCRAM iterations")?;

        let algorithm = self.hash.hmac();
        let mut salted = vec![0; algorithm.digest_algorithm().output_len()];
        pbkdf2::derive(self.hash.pbkdf2(), iterations, &salt, self.password.as_bytes(), &mut salted);
        let salted = hmac::Key::new(algorithm, &salted);
        let client_key = hmac::sign(&salted, b"Client Key");
        let stored_key = self.hash.digest(client_key.as_ref());
        let server_key = hmac::sign(&salted, b"Server Key");

        let without_proof = format!("c={},r={nonce}", BASE64.encode("n,,"));
        self.auth_message = format!("{},{server_first},{without_proof}", self.client_first);
        let signature = hmac::sign(&hmac::Key::new(algorithm, stored_key.as_ref()), self.auth_message.as_bytes());
        let proof: Vec<u8> = client_key.as_ref().iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        self.expected_signature = Some(hmac::Key::new(algorithm, server_key.as_ref()));
        Ok(format!("{without_proof},p={}", BASE64.encode(proof)).into_bytes())
    }

    fn check(&self, server_final: &str, key: &hmac::Key) -> Result<(), String> {
        let first = server_final.split(',').next().unwrap_or_default();
        if let Some(error) = first.strip_prefix("e=") {
            return Err(format!("the server refused: {}", printable(error)));
        }
        let signature = first.strip_prefix("v=").and_then(|v| BASE64.decode(v).ok());
        let signature = signature.ok_or("the server's last SCRAM message is incomplete")?;
        hmac::verify(key, self.auth_message.as_bytes(), &signature)
            .map_err(|_| "the server could not prove that it knows the password".to_owned())
    }
}

/// A peer's text, fit for a log line.
pub(crate) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677 §3.
    fn exchange() -> Scram {
        Scram::new(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".into())
    }
    const SERVER_FIRST: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    #[test]
    fn the_example_of_the_rfc() {
        let mut scram = exchange();
        assert_eq!(scram.client_first, "n=user,r=rOprNGfwEbeRWgbNEkqO");
        let Ok(Step::Send(proof)) = scram.next(SERVER_FIRST.as_bytes()) else { panic!("no proof") };
        assert_eq!(
            String::from_utf8(proof).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        let last = scram.next(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        assert!(matches!(last, Ok(Step::Done)));
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_refused() {
        let mut scram = exchange();
        assert!(scram.next(SERVER_FIRST.as_bytes()).is_ok());
        assert!(scram.next(b"v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=").is_err());
    }

    #[test]
    fn iterations_have_bounds() {
        for iterations in ["1", "4095", "2147483648", "99999999999"] {
            let message = SERVER_FIRST.replace("4096", iterations);
            assert!(exchange().next(message.as_bytes()).is_err(), "{iterations}");
        }
    }

    #[test]
    fn arbitrary_messages_do_not_panic() {
        for message in ["", "r=", "r=rOprNGfwEbeRWgbNEkqO,s=,i=4096", "v=", "e=x", "=,=,=", "r=x,s=é,i=-1"] {
            assert!(exchange().next(message.as_bytes()).is_err());
        }
        assert!(exchange().next(&[0xff, 0xfe]).is_err());
    }
}
