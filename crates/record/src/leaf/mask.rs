//! What `column.truncate.to.N.chars` and `column.mask.hash.…` make of a value. (A mask of asterisks is a constant.)
//!
//! Lengths are counted in UTF-16 units, as Java counts them. A character of two units is left out where only its first
//! half would fit: the original writes that half, which no UTF-8 can hold.

use std::fmt;
use std::sync::Arc;

use md5::Digest;

use super::scalar::{self, Scalar, Scratch};
use super::{Leaf, LeafError};
use crate::surprise::Surprise;
use crate::value::Value;

/// Text of another leaf, cut.
#[derive(Debug, Clone, PartialEq)]
pub struct Truncated {
    pub leaf: Leaf,
    /// UTF-16 units of text; bytes, where `bytes` says so.
    pub length_max: usize,
    /// Bytes are cut as well: `bytea` and unknown types, not decimals or bit strings.
    pub bytes: bool,
}

impl Truncated {
    pub(super) fn read<'a>(&self, text: &'a [u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
        if text.len() > self.length_max && self.leaf == Leaf::Text && self.cuts_between_units(text) {
            scratch.surprise(Surprise::TruncateUnits);
        }
        Ok(match self.leaf.read(text, scratch)? {
            Scalar::String(text) => Scalar::String(cut(text, self.length_max)),
            Scalar::Bytes(bytes) if self.bytes => Scalar::Bytes(&bytes[..bytes.len().min(self.length_max)]),
            Scalar::Tree(value) => Scalar::Tree(self.value(value)),
            other => other,
        })
    }

    /// Whether counting characters would leave more.
    fn cuts_between_units(&self, text: &[u8]) -> bool {
        // Of two units are the characters of four bytes.
        text.iter().any(|b| *b >= 0xF0)
            && scalar::str(text).is_ok_and(|text| cut(text, self.length_max) != cut_characters(text, self.length_max))
    }

    /// A value that does not come from a cell: a default, a placeholder.
    pub fn value(&self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::string(cut(&text, self.length_max)),
            Value::Bytes(bytes) if self.bytes => Value::bytes(&bytes[..bytes.len().min(self.length_max)]),
            other => other,
        }
    }
}

/// The first characters, of at most so many UTF-16 units together.
fn cut(text: &str, units_max: usize) -> &str {
    // A unit has at least one byte of UTF-8, and at most three.
    if text.len() <= units_max {
        return text;
    }
    let mut units = 0;
    for (at, character) in text.char_indices() {
        units += character.len_utf16();
        if units > units_max {
            return &text[..at];
        }
    }
    text
}

/// The first characters, at most so many.
pub(super) fn cut_characters(text: &str, characters_max: usize) -> &str {
    match text.char_indices().nth(characters_max) {
        Some((at, _)) => &text[..at],
        None => text,
    }
}

/// `java.security.MessageDigest`'s names of those that are built in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashAlgorithm {
    Md5,
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha512Of224,
    Sha512Of256,
}

/// What of the text is hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashInput {
    /// As `ObjectOutputStream` writes a string: the first version of the option.
    JavaSerialized,
    /// UTF-8: the second.
    Plain,
}

/// Text replaced by the digest of a salt and of it, in hexadecimal.
#[derive(Clone, PartialEq)]
pub struct Hashed {
    pub algorithm: HashAlgorithm,
    pub input: HashInput,
    pub salt: Arc<str>,
    /// Characters of the digest: the column's own length.
    pub length_max: usize,
}

impl fmt::Debug for Hashed {
    /// Without the salt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashed").field("algorithm", &self.algorithm).field("input", &self.input).finish_non_exhaustive()
    }
}

impl Hashed {
    pub(super) fn read<'a>(&self, text: &[u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
        let text = scalar::str(text)?;
        let out = scratch.start();
        match self.algorithm {
            HashAlgorithm::Md5 => self.digest(md5::Md5::new(), text, out),
            HashAlgorithm::Sha1 => self.digest(sha1::Sha1::new(), text, out),
            HashAlgorithm::Sha224 => self.digest(sha2::Sha224::new(), text, out),
            HashAlgorithm::Sha256 => self.digest(sha2::Sha256::new(), text, out),
            HashAlgorithm::Sha384 => self.digest(sha2::Sha384::new(), text, out),
            HashAlgorithm::Sha512 => self.digest(sha2::Sha512::new(), text, out),
            HashAlgorithm::Sha512Of224 => self.digest(sha2::Sha512_224::new(), text, out),
            HashAlgorithm::Sha512Of256 => self.digest(sha2::Sha512_256::new(), text, out),
        }
        out.truncate(self.length_max);
        scratch.written()
    }

    /// A value that does not come from a cell. NULL stays NULL.
    pub fn value(&self, value: Value) -> Value {
        match &value {
            Value::String(text) => {
                self.read(text.as_bytes(), &mut Scratch::default()).map_or(Value::Null, Scalar::into_value)
            }
            _ => value,
        }
    }

    fn digest<D: Digest>(&self, mut digest: D, text: &str, out: &mut Vec<u8>) {
        digest.update(self.salt.as_bytes());
        match self.input {
            HashInput::Plain => digest.update(text),
            HashInput::JavaSerialized => {
                modified_utf8(text, out);
                digest.update(STREAM_HEADER);
                match u16::try_from(out.len()) {
                    Ok(length) => {
                        digest.update([TC_STRING]);
                        digest.update(length.to_be_bytes());
                    }
                    Err(_) => {
                        digest.update([TC_LONGSTRING]);
                        digest.update((out.len() as u64).to_be_bytes());
                    }
                }
                digest.update(&*out);
                out.clear();
            }
        }
        for byte in digest.finalize() {
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

// "Java Object Serialization Specification", 6.4.2.
const STREAM_HEADER: [u8; 4] = [0xAC, 0xED, 0x00, 0x05];
const TC_STRING: u8 = 0x74;
const TC_LONGSTRING: u8 = 0x7C;

/// UTF-8 with surrogates encoded each by itself (and NUL, which PostgreSQL does not have, in two bytes).
fn modified_utf8(text: &str, out: &mut Vec<u8>) {
    for character in text.chars() {
        match character {
            '\0' => out.extend_from_slice(&[0xC0, 0x80]),
            '\u{10000}'.. => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let unit = *unit;
                    out.extend_from_slice(&[
                        0xE0 | (unit >> 12) as u8,
                        0x80 | (unit >> 6 & 0x3F) as u8,
                        0x80 | (unit & 0x3F) as u8,
                    ]);
                }
            }
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_units_of_utf16() {
        for (text, units, expected) in [
            ("abcdef", 4, "abcd"),
            ("abc", 4, "abc"),
            ("日本語文字", 4, "日本語文"),
            ("😀😀😀", 4, "😀😀"),
            ("😀😀😀", 3, "😀"),
            ("éàü", 4, "éàü"),
            ("abc", 0, ""),
        ] {
            assert_eq!(cut(text, units), expected, "{text} {units}");
        }
    }

    fn hashed(algorithm: HashAlgorithm, input: HashInput, salt: &str, text: &str) -> Value {
        let hashed = Hashed { algorithm, input, salt: salt.into(), length_max: usize::MAX };
        Leaf::Hashed(Arc::new(hashed)).value(text.as_bytes()).unwrap()
    }

    /// Recorded from the original.
    #[test]
    fn hashes_as_the_original() {
        use HashAlgorithm::*;
        use HashInput::*;
        let salt = "CzQMA0cB5K";
        let long = "é".repeat(40_000);
        for (algorithm, input, salt, text, expected) in [
            (
                Sha256,
                JavaSerialized,
                salt,
                "secret",
                "122e56d6f15256f7a553c665138b101b52d5201a2cd0fd8f61b54c0c28a14efa",
            ),
            (Sha256, JavaSerialized, salt, "", "7b061bc77caec9afdc6b986ab6c4de894d58006b32ac0f7ea728404a5cf3a9e5"),
            (
                Sha256,
                JavaSerialized,
                salt,
                "日本語😀",
                "6854d545d352ebbad6af3cdf0aa8f559ee7dc317db7a341ba129d06a956b1c21",
            ),
            (Sha256, JavaSerialized, salt, &long, "87cc05f2109564d7e63fdee98fe7d7e05563ce4bafc2f746010a7dc775024e3d"),
            (Sha256, Plain, salt, "日本語😀", "9cc036c3e68e666adb4be7f588c2040d1d43334371bfc6a78062abce6f754254"),
            (Sha256, Plain, salt, &long, "3a56079596ffb7b98bd4d22304e3f39f4346167fabbbc9afd8a134a250b79e7f"),
            (Md5, JavaSerialized, "x.y", "secret", "66393772ba5cb2d650cc0961ea7459d9"),
            (Sha1, JavaSerialized, "s", "secret", "0bca73fffe1c37244328fce7574fea586bc16c78"),
            (Sha224, Plain, "s", "secret", "2a40661dcff80658db5f5448ba24b3ae3e27d4348d1f2e56207fd305"),
            (Sha512Of256, Plain, "s", "secret", "b4080138178fb6b3fb6e9579597a02e97fb27c5585bec24ea6453ab8e997ae7e"),
        ] {
            assert_eq!(hashed(algorithm, input, salt, text), Value::string(expected), "{algorithm:?} {input:?}");
        }
    }
}
