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
        if self.leaf == Leaf::Text && text.len() > self.length_max && self.cuts_between_units(text) {
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
        // Of two units are the characters of four bytes. What is left has none where it is ASCII.
        !text[..self.length_max].is_ascii()
            && text.iter().any(|b| *b >= 0xF0)
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
    // Nearly always: bytes, characters and units are the same.
    if text.as_bytes()[..units_max].is_ascii() {
        return &text[..units_max];
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
#[derive(Clone)]
pub struct Hashed {
    algorithm: HashAlgorithm,
    input: HashInput,
    salt: Arc<str>,
    length_max: usize,
    salted: Salted,
}

impl fmt::Debug for Hashed {
    /// Without the salt.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hashed").field("algorithm", &self.algorithm).field("input", &self.input).finish_non_exhaustive()
    }
}

impl PartialEq for Hashed {
    fn eq(&self, other: &Hashed) -> bool {
        let made_of = |h: &Hashed| (h.algorithm, h.input, h.salt.clone(), h.length_max);
        made_of(self) == made_of(other)
    }
}

impl Hashed {
    /// `length_max`: characters of the digest, the column's own length.
    pub fn new(algorithm: HashAlgorithm, input: HashInput, salt: &str, length_max: usize) -> Hashed {
        Hashed { algorithm, input, salt: salt.into(), length_max, salted: Salted::new(algorithm, salt) }
    }

    /// Appends the digest of a cell's text. Nothing is appended to text that is not UTF-8.
    #[inline]
    pub fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), LeafError> {
        let text = scalar::str(text)?;
        match &self.salted {
            Salted::Md5(salted) => self.digest(salted, text, out),
            Salted::Sha1(salted) => self.digest(salted, text, out),
            Salted::Sha224(salted) => self.digest(salted, text, out),
            Salted::Sha256(salted) => self.digest(salted, text, out),
            Salted::Sha384(salted) => self.digest(salted, text, out),
            Salted::Sha512(salted) => self.digest(salted, text, out),
            Salted::Sha512Of224(salted) => self.digest(salted, text, out),
            Salted::Sha512Of256(salted) => self.digest(salted, text, out),
        }
        Ok(())
    }

    pub(super) fn read<'a>(&self, text: &[u8], scratch: &'a mut Scratch) -> Result<Scalar<'a>, LeafError> {
        self.write(text, scratch.start())?;
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

    fn digest<D: Digest + Clone>(&self, salted: &D, text: &str, out: &mut Vec<u8>) {
        let mut digest = salted.clone();
        match self.input {
            HashInput::Plain => digest.update(text),
            HashInput::JavaSerialized if is_modified_utf8(text) => update_serialized(&mut digest, text.as_bytes()),
            HashInput::JavaSerialized => {
                let mut modified = Vec::with_capacity(text.len() * 2);
                modified_utf8(text, &mut modified);
                update_serialized(&mut digest, &modified);
            }
        }
        push_hexadecimal(&digest.finalize(), self.length_max, out);
    }
}

/// A digest that has taken the salt in: each value goes on from a copy.
#[derive(Clone)]
enum Salted {
    Md5(md5::Md5),
    Sha1(sha1::Sha1),
    Sha224(sha2::Sha224),
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
    Sha512Of224(sha2::Sha512_224),
    Sha512Of256(sha2::Sha512_256),
}

impl Salted {
    fn new(algorithm: HashAlgorithm, salt: &str) -> Salted {
        fn with<D: Digest>(salt: &str) -> D {
            D::new_with_prefix(salt)
        }
        match algorithm {
            HashAlgorithm::Md5 => Salted::Md5(with(salt)),
            HashAlgorithm::Sha1 => Salted::Sha1(with(salt)),
            HashAlgorithm::Sha224 => Salted::Sha224(with(salt)),
            HashAlgorithm::Sha256 => Salted::Sha256(with(salt)),
            HashAlgorithm::Sha384 => Salted::Sha384(with(salt)),
            HashAlgorithm::Sha512 => Salted::Sha512(with(salt)),
            HashAlgorithm::Sha512Of224 => Salted::Sha512Of224(with(salt)),
            HashAlgorithm::Sha512Of256 => Salted::Sha512Of256(with(salt)),
        }
    }
}

/// As `ObjectOutputStream` writes a string of which these are the bytes.
fn update_serialized(digest: &mut impl Digest, modified: &[u8]) {
    digest.update(STREAM_HEADER);
    match u16::try_from(modified.len()) {
        Ok(length) => {
            digest.update([TC_STRING]);
            digest.update(length.to_be_bytes());
        }
        Err(_) => {
            digest.update([TC_LONGSTRING]);
            digest.update((modified.len() as u64).to_be_bytes());
        }
    }
    digest.update(modified);
}

/// The longest digest has 64 bytes.
const DIGITS_MAX: usize = 128;

/// Appends at most so many digits. Without a table or a branch, so that the compiler takes many digits a step.
#[inline]
fn push_hexadecimal(digest: &[u8], digits_max: usize, out: &mut Vec<u8>) {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let mut digits = [0; DIGITS_MAX];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(digest) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    out.extend_from_slice(&digits[..(digest.len() * 2).min(digits_max)]);
}

// "Java Object Serialization Specification", 6.4.2.
const STREAM_HEADER: [u8; 4] = [0xAC, 0xED, 0x00, 0x05];
const TC_STRING: u8 = 0x74;
const TC_LONGSTRING: u8 = 0x7C;

/// Whether the text is written as it stands: nearly every one.
fn is_modified_utf8(text: &str) -> bool {
    // Without a way out on the first that is not: sixteen bytes a step.
    text.bytes().fold(true, |all, byte| all & (byte != 0) & (byte < 0xF0))
}

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
        let hashed = Hashed::new(algorithm, input, salt, usize::MAX);
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
