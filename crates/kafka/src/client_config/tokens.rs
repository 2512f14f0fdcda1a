//! Tokens for OAUTHBEARER: asked for at the token endpoint with client id and secret (RFC 6749, client credentials),
//! or read from a file that something else keeps fresh.
//!
//! Invariant: neither secret nor token is in an error or a log line.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use crate::sasl::TokenSource;

/// For connecting and answering together.
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(10);
/// Where neither the answer nor the token says how long it holds.
const LIFETIME_DEFAULT: Duration = Duration::from_secs(300);
/// Part of a token's life after which a new one is asked for, as Java's `sasl.login.refresh.window.factor`.
const REFRESH_PART: f64 = 0.8;
const RESPONSE_BYTES_MAX: u64 = 1 << 20;

/// Where a token comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum TokenOrigin {
    Endpoint { url: String, client_id: String, client_secret: String, scope: Option<String> },
    File(PathBuf),
}

impl fmt::Debug for TokenOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint { url, .. } => write!(f, "Endpoint({url})"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

#[derive(Clone)]
pub struct Token {
    pub text: String,
    pub expires_at: SystemTime,
    refresh_at: SystemTime,
}

/// Remembers a token until most of its life is over.
pub struct Tokens {
    origin: TokenOrigin,
    last: Mutex<Option<Token>>,
}

impl Tokens {
    pub fn new(origin: TokenOrigin) -> Self {
        Self { origin, last: Mutex::new(None) }
    }

    pub fn get(&self) -> Result<Token, String> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*last
            && SystemTime::now() < token.refresh_at
        {
            return Ok(token.clone());
        }
        let token = self.fetch()?;
        *last = Some(token.clone());
        Ok(token)
    }

    fn fetch(&self) -> Result<Token, String> {
        let now = SystemTime::now();
        let (text, lifetime) = match &self.origin {
            TokenOrigin::File(path) => {
                let text = std::fs::read_to_string(path).map_err(|error| {
                    format!("the OAUTHBEARER token cannot be read from {}: {error}", path.display())
                })?;
                (text.trim().to_owned(), None)
            }
            TokenOrigin::Endpoint { url, client_id, client_secret, scope } => {
                ask(url, client_id, client_secret, scope.as_deref())?
            }
        };
        let lifetime = lifetime
            .or_else(|| jwt_expiry(&text)?.duration_since(now).ok())
            .unwrap_or(LIFETIME_DEFAULT)
            .min(Duration::from_secs(366 * 86400));
        Ok(Token { text, expires_at: now + lifetime, refresh_at: now + lifetime.mul_f64(REFRESH_PART) })
    }
}

impl TokenSource for Tokens {
    fn token(&self) -> Result<String, String> {
        Ok(self.get()?.text)
    }
}

fn ask(url: &str, client_id: &str, secret: &str, scope: Option<&str>) -> Result<(String, Option<Duration>), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(ENDPOINT_TIMEOUT))
        .max_redirects(0)
        .http_status_as_error(false)
        .tls_config(walspring_net::http::tls_config(None).build())
        .build()
        .into();
    let credentials = STANDARD.encode(format!("{}:{}", form_encoded(client_id), form_encoded(secret)));
    let mut body = String::from("grant_type=client_credentials");
    if let Some(scope) = scope {
        body.push_str("&scope=");
        body.push_str(&form_encoded(scope));
    }
    let mut response = agent
        .post(url)
        .header("Authorization", format!("Basic {credentials}"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("Accept", "application/json")
        .send(body)
        .map_err(|error| format!("the token endpoint {url} does not answer: {error}"))?;
    let status = response.status();
    let text = response.body_mut().with_config().limit(RESPONSE_BYTES_MAX).read_to_string();
    let answer: serde_json::Value = text.ok().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    if !status.is_success() {
        // The error code is from a closed list (RFC 6749, 5.2); the description is free text and stays out.
        let code = answer.get("error").and_then(|e| e.as_str()).unwrap_or("no error code");
        return Err(format!("the token endpoint {url} refuses client {client_id}: {status}, {code}"));
    }
    let token = answer
        .get("access_token")
        .or_else(|| answer.get("id_token"))
        .and_then(|token| token.as_str())
        .ok_or_else(|| format!("the token endpoint {url} answers without a token"))?;
    let lifetime = answer.get("expires_in").and_then(serde_json::Value::as_u64).map(Duration::from_secs);
    Ok((token.to_owned(), lifetime))
}

fn form_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
        out
    })
}

/// The claim `exp`, when the token is a JWT.
fn jwt_expiry(token: &str) -> Option<SystemTime> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    let seconds = claims.get("exp")?.as_f64()?;
    (seconds.is_finite() && (0.0..1e12).contains(&seconds)).then(|| UNIX_EPOCH + Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    /// Answers one request; returns where it listens and what was asked.
    fn endpoint(status: &'static str, answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("an address"));
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a request");
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"client_credentials&scope=a+b") {
                stream.read_exact(&mut byte).expect("more");
                request.push(byte[0]);
            }
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n", answer.len());
            stream.write_all((head + answer).as_bytes()).expect("an answer");
            String::from_utf8(request).expect("text")
        });
        (url, asked)
    }

    fn tokens(url: String) -> Tokens {
        Tokens::new(TokenOrigin::Endpoint {
            url,
            client_id: "me@x".into(),
            client_secret: "hush".into(),
            scope: Some("a b".into()),
        })
    }

    #[test]
    fn asks_once_while_the_token_lives() {
        let (url, asked) = endpoint("200 OK", "{\"access_token\":\"the-token\",\"expires_in\":9}");
        let tokens = tokens(url);
        assert_eq!(tokens.token().as_deref(), Ok("the-token"));
        assert_eq!(tokens.token().as_deref(), Ok("the-token"));
        let request = asked.join().expect("asked");
        assert!(request.contains(&format!("Basic {}", STANDARD.encode("me%40x:hush"))), "{request}");
    }

    #[test]
    fn a_refusal_says_why_without_the_secret() {
        let (url, _) = endpoint("401 Unauthorized", "{\"error\":\"invalid_client\"}");
        let error = tokens(url).token().expect_err("refused");
        assert!(error.contains("401") && error.contains("invalid_client") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn the_token_itself_may_say_when_it_ends() {
        let claims = URL_SAFE_NO_PAD.encode("{\"exp\":1700000000}");
        assert_eq!(jwt_expiry(&format!("x.{claims}.y")), Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        assert_eq!(jwt_expiry("opaque"), None);
    }
}
