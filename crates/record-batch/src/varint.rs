//! Zigzag base-128 numbers, as Protocol Buffers and Kafka's `ByteUtils` write them.

/// The most bytes that a 32-bit number takes.
pub const I32_BYTES_MAX: usize = 5;
/// The most bytes that a 64-bit number takes.
pub const I64_BYTES_MAX: usize = 10;

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
pub fn size(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Writes a number that fits 32 bits the same way as one that fits 64: both are the same bytes.
#[inline]
pub fn put(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    if rest < 0x80 {
        out.push(rest as u8);
        return;
    }
    let mut bytes = [0; I64_BYTES_MAX];
    let mut len = 0;
    while rest >= 0x80 {
        bytes[len] = rest as u8 | 0x80;
        rest >>= 7;
        len += 1;
    }
    bytes[len] = rest as u8;
    out.extend_from_slice(&bytes[..=len]);
}

/// The number at `at` and the position after it; `None` when it is cut off or too long.
#[inline]
pub fn get_i64(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let (raw, at) = get_raw(bytes, at, I64_BYTES_MAX)?;
    Some(((raw >> 1) as i64 ^ -((raw & 1) as i64), at))
}

/// As [`get_i64`], for a number that must fit 32 bits.
#[inline]
pub fn get_i32(bytes: &[u8], at: usize) -> Option<(i32, usize)> {
    let (raw, at) = get_raw(bytes, at, I32_BYTES_MAX)?;
    let raw = u32::try_from(raw).ok()?;
    Some(((raw >> 1) as i32 ^ -((raw & 1) as i32), at))
}

#[inline]
fn get_raw(bytes: &[u8], mut at: usize, bytes_max: usize) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for index in 0..bytes_max {
        let byte = *bytes.get(at)?;
        at += 1;
        let part = u64::from(byte & 0x7f);
        if index == 9 && part > 1 {
            return None;
        }
        value |= part << (7 * index);
        if byte < 0x80 {
            return Some((value, at));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_sizes_agree() {
        for value in
            [0, 1, -1, 63, 64, -64, -65, 8191, 8192, i64::from(i32::MAX), i64::from(i32::MIN), i64::MAX, i64::MIN]
        {
            let mut out = Vec::new();
            put(&mut out, value);
            assert_eq!(out.len(), size(value), "{value}");
            assert_eq!(get_i64(&out, 0), Some((value, out.len())));
            let narrow = i32::try_from(value).ok().map(|v| (v, out.len()));
            assert_eq!(get_i32(&out, 0), narrow);
            assert_eq!(get_i64(&out[..out.len() - 1], 0), None);
        }
        assert_eq!(get_i64(&[0xff; 20], 0), None);
    }
}
