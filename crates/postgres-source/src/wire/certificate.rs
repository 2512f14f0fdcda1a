//! The facts about a server's certificate that rustls does not tell: the hash its signature uses (for SCRAM channel
//! binding), when it runs out, its common name, and whether it has alternative names (libpq looks at the name only
//! without the latter). Reads DER (X.690) just far enough; what it does not understand is `None`.

/// A DER element: its tag, its content, and what follows it.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const EXTENSIONS: u8 = 0xa3;
const VERSION: u8 = 0xa0;

fn element(der: &[u8]) -> Option<Element<'_>> {
    let (&[tag, first], mut rest) = der.split_first_chunk::<2>()?;
    let len = if first < 0x80 {
        usize::from(first)
    } else {
        let (bytes, tail) = rest.split_at_checked(usize::from(first & 0x7f))?;
        rest = tail;
        if bytes.len() > 4 {
            return None;
        }
        bytes.iter().fold(0, |len, &byte| len << 8 | usize::from(byte))
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some(Element { tag, content, rest })
}

fn expect(der: &[u8], tag: u8) -> Option<Element<'_>> {
    element(der).filter(|element| element.tag == tag)
}

/// The elements inside a constructed one.
fn children(mut content: &[u8]) -> impl Iterator<Item = Element<'_>> {
    std::iter::from_fn(move || {
        let element = element(content)?;
        content = element.rest;
        Some(element)
    })
}

/// The data of `tls-server-end-point` (RFC 5929): the hash of the certificate by the hash of its signature, MD5 and
/// SHA-1 replaced by SHA-256. `None` if the signature names no single hash (Ed25519).
pub(crate) fn end_point_hash(certificate: &[u8]) -> Option<Vec<u8>> {
    let algorithm = signature_hash(certificate)?;
    Some(ring::digest::digest(algorithm, certificate).as_ref().to_vec())
}

fn signature_hash(certificate: &[u8]) -> Option<&'static ring::digest::Algorithm> {
    use ring::digest::{SHA256, SHA384, SHA512};
    let certificate = expect(certificate, SEQUENCE)?;
    let to_be_signed = expect(certificate.content, SEQUENCE)?;
    let algorithm = expect(to_be_signed.rest, SEQUENCE)?;
    let oid = expect(algorithm.content, OID)?;
    Some(match oid.content {
        // sha256, sha384, sha512, sha1, md5 WithRSAEncryption: 1.2.840.113549.1.1.{11,12,13,5,4}
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b" => &SHA256,
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c" => &SHA384,
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d" => &SHA512,
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05" | b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04" => &SHA256,
        // ecdsa-with-SHA1, SHA256, SHA384, SHA512: 1.2.840.10045.4.{1,3.2,3.3,3.4}
        b"\x2a\x86\x48\xce\x3d\x04\x01" | b"\x2a\x86\x48\xce\x3d\x04\x03\x02" => &SHA256,
        b"\x2a\x86\x48\xce\x3d\x04\x03\x03" => &SHA384,
        b"\x2a\x86\x48\xce\x3d\x04\x03\x04" => &SHA512,
        // RSASSA-PSS: parameters [0] { SEQUENCE { hash OID } }, SHA-1 if absent
        b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a" => pss_hash(oid.rest)?,
        _ => return None,
    })
}

fn pss_hash(parameters: &[u8]) -> Option<&'static ring::digest::Algorithm> {
    use ring::digest::{SHA256, SHA384, SHA512};
    let parameters = expect(parameters, SEQUENCE)?;
    let Some(hash) = expect(parameters.content, 0xa0) else { return Some(&SHA256) };
    let oid = expect(expect(hash.content, SEQUENCE)?.content, OID)?;
    // id-sha256, id-sha384, id-sha512: 2.16.840.1.101.3.4.2.{1,2,3}
    match oid.content {
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x01" => Some(&SHA256),
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x02" => Some(&SHA384),
        b"\x60\x86\x48\x01\x65\x03\x04\x02\x03" => Some(&SHA512),
        _ => None,
    }
}

/// When it runs out (`notAfter`), in seconds since 1970.
pub(crate) fn not_after(certificate: &[u8]) -> Option<i64> {
    let certificate = expect(certificate, SEQUENCE)?;
    let fields: Vec<_> = children(expect(certificate.content, SEQUENCE)?.content).collect();
    let first = usize::from(fields.first()?.tag == VERSION);
    let validity = fields.get(first + 3)?;
    let end = children(validity.content).nth(1)?;
    time(end.tag, end.content)
}

/// UTCTime has two digits of the year, those below 50 in this century (RFC 5280, 4.1.2.5); both end in Z.
fn time(tag: u8, text: &[u8]) -> Option<i64> {
    const UTC_TIME: u8 = 0x17;
    const GENERALIZED_TIME: u8 = 0x18;
    let digits = text.strip_suffix(b"Z").filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let number = |digits: &[u8]| digits.iter().fold(0_i64, |n, digit| n * 10 + i64::from(digit - b'0'));
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year);
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year), rest)
        }
        _ => return None,
    };
    let [month, day, hour, minute, second] =
        <[i64; 5]>::try_from(rest.chunks(2).map(number).collect::<Vec<_>>()).ok()?;
    // Days from the civil date, with March as the first month: February's length comes last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// The common name, if the certificate has no subject alternative names at all.
pub(crate) fn common_name_without_alternatives(certificate: &[u8]) -> Option<String> {
    let certificate = expect(certificate, SEQUENCE)?;
    let fields: Vec<_> = children(expect(certificate.content, SEQUENCE)?.content).collect();
    // [0] version (absent in v1), serial, signature, issuer, validity, subject, key, …
    let first = usize::from(fields.first()?.tag == VERSION);
    let subject = fields.get(first + 4)?;
    if fields.iter().any(|field| field.tag == EXTENSIONS && has_alternative_names(field.content)) {
        return None;
    }
    let names = children(subject.content).filter(|set| set.tag == SET);
    let attributes = names.flat_map(|set| children(set.content));
    attributes.filter_map(|attribute| common_name(attribute.content)).last()
}

fn common_name(attribute: &[u8]) -> Option<String> {
    let oid = expect(attribute, OID)?;
    // id-at-commonName: 2.5.4.3
    let value = (oid.content == b"\x55\x04\x03").then(|| element(oid.rest))??;
    String::from_utf8(value.content.to_vec()).ok()
}

fn has_alternative_names(extensions: &[u8]) -> bool {
    let Some(list) = expect(extensions, SEQUENCE) else { return true };
    // id-ce-subjectAltName: 2.5.29.17
    children(list.content)
        .any(|extension| expect(extension.content, OID).is_some_and(|oid| oid.content == b"\x55\x1d\x11"))
}

/// Whether a common name stands for the host: equal without regard to case, or a `*.` for one label.
pub(crate) fn name_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(suffix) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty() && suffix.contains('.') && rest.eq_ignore_ascii_case(suffix)
        }),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = end_point_hash(&bytes);
            let _ = common_name_without_alternatives(&bytes);
            let _ = not_after(&bytes);
        }
    }

    #[test]
    fn times_of_both_kinds() {
        assert_eq!(time(0x17, b"700101000000Z"), Some(0));
        assert_eq!(time(0x17, b"260301123456Z"), Some(1_772_368_496));
        assert_eq!(time(0x18, b"20240229235959Z"), Some(1_709_251_199));
        assert_eq!(time(0x18, b"99991231235959Z"), Some(253_402_300_799));
        assert_eq!(time(0x17, b"2603011234Z"), None);
        assert_eq!(time(0x18, b"2026030112345\xffZ"), None);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(name_matches("DB.example.com", "db.Example.com"));
        assert!(name_matches("*.example.com", "db.example.com"));
        assert!(!name_matches("*.example.com", "a.b.example.com"));
        assert!(!name_matches("*.example.com", "example.com"));
        assert!(!name_matches("*.com", "example.com"));
    }
}
