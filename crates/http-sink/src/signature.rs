//! Signatures of bodies: HMAC-SHA-256, so that the receiver can tell who sent a request and that nobody changed it.

use ring::hmac::{HMAC_SHA256, Key, sign};

#[derive(Clone)]
pub struct Signer {
    key: Key,
    pub style: Style,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `t=SECONDS,v1=HEX` over `SECONDS.BODY`: an old request that is sent again can be told by its time.
    Timestamped,
    /// `sha256=HEX` over the body.
    Body,
}

impl Signer {
    pub fn new(secret: &str, style: Style) -> Signer {
        Signer { key: Key::new(HMAC_SHA256, secret.as_bytes()), style }
    }

    /// The header's value. `now`: seconds since 1970.
    pub fn sign(&self, body: &[u8], now: u64) -> String {
        match self.style {
            Style::Timestamped => {
                let mut text = format!("{now}.").into_bytes();
                text.extend_from_slice(body);
                format!("t={now},v1={}", hex(sign(&self.key, &text).as_ref()))
            }
            Style::Body => format!("sha256={}", hex(sign(&self.key, body).as_ref())),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected by `openssl dgst -sha256 -hmac`.
    #[test]
    fn bodies_are_signed() {
        let key = "It's a Secret to Everybody";
        let body = Signer::new(key, Style::Body).sign(b"Hello, World!", 0);
        assert_eq!(body, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
        let timed = Signer::new(key, Style::Timestamped).sign(b"Hello, World!", 1_700_000_000);
        assert_eq!(timed, "t=1700000000,v1=76c83fd0acdf22faed320674fe8e04d528cfe8a17905e720a9611e40677c03b7");
    }
}
