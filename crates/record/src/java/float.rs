//! `Double.toString` and `Float.toString`, as the runtime of the original (Java 17) prints them.
//!
//! Java before 19 prints, for most numbers, the shortest digits that read back as the number, the nearest such to it; so
//! does Rust. It differs in what this module takes the slow way: decimals exactly half-way between two numbers do not
//! count as reading back (1e23 is `9.999999999999999E22`), of two that are equally near the even one is printed, powers of
//! two keep to the narrower gap below them on both sides (2^-126 as a float is `1.17549435E-38`), large integers drop
//! digits by their exponent alone, numbers printed with an exponent have two digits at least, and some sums overflow.
//! Three million numbers of all kinds were compared with the real one when this was written.

use std::cmp::Ordering;
use std::fmt::Write;

/// Appends `Double.toString(v)`: `1.0`, `1.0E10`, `NaN`, `-Infinity`.
pub fn write_f64(out: &mut Vec<u8>, v: f64) {
    let bits = v.to_bits();
    let (exponent, fraction) = ((bits >> 52 & 0x7FF) as i32, bits & ((1 << 52) - 1));
    if special(out, v.is_sign_negative(), exponent == 0x7FF, exponent == 0 && fraction == 0, fraction != 0) {
        return;
    }
    let v = v.abs();
    // Below 2^52 no decimal of 17 digits is half-way between two numbers. See `Binary::digits` for what is left.
    let simple = fraction != 0 && exponent != 0 && v < (1u64 << 52) as f64;
    let (mantissa, exponent) = if exponent == 0 { (fraction, -1074) } else { (fraction | 1 << 52, exponent - 1075) };
    let binary = Binary { mantissa, exponent, precision: 53 };
    let shortest = simple.then(|| Digits::shortest(format_args!("{v:e}")));
    shortest.filter(|d| !binary.may_tie(d)).unwrap_or_else(|| binary.digits()).write(out);
}

/// Appends `Float.toString(v)`.
pub fn write_f32(out: &mut Vec<u8>, v: f32) {
    let bits = v.to_bits();
    let (exponent, fraction) = ((bits >> 23 & 0xFF) as i32, bits & ((1 << 23) - 1));
    if special(out, v.is_sign_negative(), exponent == 0xFF, exponent == 0 && fraction == 0, fraction != 0) {
        return;
    }
    let v = v.abs();
    // Below 2^21 no decimal of 9 digits is half-way; and no sum overflows.
    let simple = fraction != 0 && exponent != 0 && v < (1u32 << 21) as f32;
    let (mantissa, exponent) = if exponent == 0 { (fraction, -149) } else { (fraction | 1 << 23, exponent - 150) };
    let binary = Binary { mantissa: u64::from(mantissa), exponent, precision: 24 };
    let shortest = simple.then(|| Digits::shortest(format_args!("{v:e}")));
    shortest.filter(|d| !binary.may_tie(d)).unwrap_or_else(|| binary.digits()).write(out);
}

/// Writes the sign, and what has no digits; true if that was all.
fn special(out: &mut Vec<u8>, negative: bool, not_finite: bool, zero: bool, fraction: bool) -> bool {
    if not_finite && fraction {
        out.extend_from_slice(b"NaN");
        return true;
    }
    if negative {
        out.push(b'-');
    }
    if not_finite {
        out.extend_from_slice(b"Infinity");
    } else if zero {
        out.extend_from_slice(b"0.0");
    }
    not_finite || zero
}

/// `0.d₁d₂… × 10^point`.
struct Digits {
    digits: [u8; 24],
    len: usize,
    point: i32,
}

impl Digits {
    fn new() -> Digits {
        Digits { digits: [b'0'; 24], len: 0, point: 0 }
    }

    fn push(&mut self, digit: u8) {
        self.digits[self.len] = b'0' + digit;
        self.len += 1;
    }

    /// From the form `d.dddeN`.
    fn shortest(text: std::fmt::Arguments<'_>) -> Digits {
        struct Sink {
            digits: Digits,
            exponent: i32,
            negative: bool,
            after_e: bool,
        }
        impl Write for Sink {
            fn write_str(&mut self, s: &str) -> std::fmt::Result {
                for b in s.bytes() {
                    match b {
                        b'e' => self.after_e = true,
                        b'-' => self.negative = true,
                        b'0'..=b'9' if self.after_e => self.exponent = self.exponent * 10 + i32::from(b - b'0'),
                        b'0'..=b'9' => self.digits.push(b - b'0'),
                        _ => {}
                    }
                }
                Ok(())
            }
        }
        let mut sink = Sink { digits: Digits::new(), exponent: 0, negative: false, after_e: false };
        sink.write_fmt(text).expect("the sink takes everything");
        sink.digits.point = 1 + if sink.negative { -sink.exponent } else { sink.exponent };
        sink.digits
    }

    /// An integer's digits, without zeros at the end.
    fn of_integer(n: u64, zeros: u32) -> Digits {
        let mut digits = Digits::new();
        let mut buffer = itoa::Buffer::new();
        let text = buffer.format(n).as_bytes();
        digits.len = text.len();
        digits.digits[..text.len()].copy_from_slice(text);
        digits.point = (text.len() + zeros as usize) as i32;
        while digits.len > 1 && digits.digits[digits.len - 1] == b'0' {
            digits.len -= 1;
        }
        digits
    }

    fn round_up(&mut self) {
        for i in (0..self.len).rev() {
            if self.digits[i] != b'9' {
                self.digits[i] += 1;
                return;
            }
            self.digits[i] = b'0';
        }
        self.digits[0] = b'1';
        self.point += 1;
    }

    fn write(&self, out: &mut Vec<u8>) {
        let digits = &self.digits[..self.len];
        if (1..8).contains(&self.point) {
            let point = self.point as usize;
            if self.len > point {
                out.extend_from_slice(&digits[..point]);
                out.push(b'.');
                out.extend_from_slice(&digits[point..]);
            } else {
                out.extend_from_slice(digits);
                out.resize(out.len() + point - self.len, b'0');
                out.extend_from_slice(b".0");
            }
        } else if (-2..=0).contains(&self.point) {
            out.extend_from_slice(b"0.");
            out.resize(out.len() + -self.point as usize, b'0');
            out.extend_from_slice(digits);
        } else {
            out.push(digits[0]);
            out.push(b'.');
            out.extend_from_slice(if self.len > 1 { &digits[1..] } else { b"0" });
            out.push(b'E');
            super::write_int(out, self.point - 1);
        }
    }
}

/// `mantissa × 2^exponent`, of a format with that many bits.
struct Binary {
    mantissa: u64,
    exponent: i32,
    precision: i32,
}

impl Binary {
    /// Whether the number lies half-way between two decimals of as many digits: then its own have one digit more, and a
    /// number with so many binary places has as many decimal ones.
    fn may_tie(&self, shortest: &Digits) -> bool {
        let places = -(self.exponent + self.mantissa.trailing_zeros() as i32);
        places > 0 && places == shortest.len as i32 - shortest.point + 1
    }

    /// Digit by digit, until what is left is less than half of the gap to the next number.
    fn digits(&self) -> Digits {
        let zeros = self.mantissa.trailing_zeros() as i32;
        let (odd, exponent) = (self.mantissa >> zeros, self.exponent + zeros);
        let bits = 64 - odd.leading_zeros() as i32;
        let magnitude = exponent + bits - 1;
        if exponent >= 0 && magnitude <= 62 {
            return self.integer(odd << exponent, magnitude);
        }
        // The power of ten of the first digit; at times one too high: the tangent of the logarithm at 1.5.
        let normal = odd as f64 / (1u64 << (bits - 1)) as f64;
        // Java's own constants, digit for digit.
        #[allow(clippy::approx_constant)]
        let logarithm = (normal - 1.5) * 0.289529654 + 0.176091259 + f64::from(magnitude) * 0.301029995663981;
        let power = logarithm.floor() as i32;
        // number = b / s, half of the gap = m / s. Each is a power of five, and here the powers of two beside.
        let half_gap = self.exponent - 1 - i32::from(odd == 1);
        let (b5, s5) = ((-power).max(0), power.max(0));
        let (b2, m2, s2) = (exponent + b5, half_gap + b5, s5);
        let lowest = b2.min(m2).min(s2);
        let (b2, m2, s2) = (b2 - lowest, m2 - lowest, s2 - lowest);
        let b_bits = bits + b2 + bits_of_power_of_five(b5);
        let tens_bits = s2 + 1 + bits_of_power_of_five(s5 + 1);
        let number = |n: u64, fives: i32, twos: i32| {
            let mut big = Big::from(n);
            for _ in 0..fives {
                big.times(5);
            }
            big.shl(twos as u32)
        };
        let (b, s, m) = (number(odd, b5, b2), number(1, s5, s2), number(1, b5, m2));
        let small = |shift| Small { b: b.low() as i64, s: s.low() as i64, m: m.low() as i64, shift };
        match b_bits.max(tens_bits) {
            0..32 => small(32).digits(power),
            32..64 => small(0).digits(power),
            _ => Large { b, s, m }.digits(power),
        }
    }

    /// An integer below 2^63: all its digits, but for those that its exponent says are noise.
    fn integer(&self, mut n: u64, magnitude: i32) -> Digits {
        let mut dropped = 0;
        if magnitude > self.precision {
            let bits = magnitude - self.precision - 1;
            if bits > 1 {
                dropped = (f64::from(bits) * std::f64::consts::LOG10_2).floor() as u32;
            }
        }
        if dropped > 0 {
            let unit = 10u64.pow(dropped);
            n = n / unit + u64::from(n % unit >= unit / 2);
        }
        Digits::of_integer(n, dropped)
    }
}

/// As the table that Java's sizes come from: none of the first power, three of each beyond its end.
fn bits_of_power_of_five(n: i32) -> i32 {
    match n {
        0 => 0,
        1..27 => (f64::from(n) * std::f64::consts::LOG2_10).floor() as i32 - n + 1,
        _ => n * 3,
    }
}

/// What is left of the number, one digit's worth, and half of the gap.
trait Remainder {
    /// Takes one digit off: it, whether the rest is within half of the gap, and whether what is missing to the next is.
    fn step(&mut self, first: bool) -> (u8, bool, bool);
    /// The rest against half of a digit.
    fn half(&self) -> Ordering;

    fn digits(mut self, mut power: i32) -> Digits
    where
        Self: Sized,
    {
        let mut digits = Digits::new();
        let (digit, mut low, mut high) = self.step(true);
        if digit == 0 && !high {
            power -= 1;
        } else {
            digits.push(digit);
        }
        // With an exponent, two digits at least.
        if !(-3..8).contains(&power) {
            (low, high) = (false, false);
        }
        while !low && !high {
            let digit;
            (digit, low, high) = self.step(false);
            digits.push(digit);
        }
        digits.point = power + 1;
        let odd = digits.digits[digits.len - 1] % 2 == 1;
        let up = match (low, self.half()) {
            _ if !high => false,
            (false, _) | (true, Ordering::Greater) => true,
            (true, half) => half.is_eq() && odd,
        };
        if up {
            digits.round_up();
        }
        while digits.len > 1 && digits.digits[digits.len - 1] == b'0' {
            digits.len -= 1;
        }
        digits
    }
}

/// In Java's `long`, or, shifted up by 32, in its `int`: with their overflows.
struct Small {
    b: i64,
    s: i64,
    m: i64,
    shift: u32,
}

impl Small {
    /// As the type holds it.
    fn wrap(&self, n: i64) -> i64 {
        n.wrapping_shl(self.shift) >> self.shift
    }
}

impl Remainder for Small {
    fn step(&mut self, first: bool) -> (u8, bool, bool) {
        let digit = (self.b / self.s) as u8;
        self.b = self.wrap((self.b % self.s).wrapping_mul(10));
        self.m = self.wrap(self.m.wrapping_mul(10));
        if !first && self.m <= 0 {
            return (digit, true, true);
        }
        let tens = self.wrap(self.s.wrapping_mul(10));
        (digit, self.b < self.m, self.wrap(self.b.wrapping_add(self.m)) > tens)
    }

    fn half(&self) -> Ordering {
        // `b` was taken ten times already.
        let twice = self.wrap(self.b.wrapping_shl(1));
        self.wrap(twice.wrapping_sub(self.wrap(self.s.wrapping_mul(10)))).cmp(&0)
    }
}

struct Large {
    b: Big,
    s: Big,
    m: Big,
}

impl Remainder for Large {
    fn step(&mut self, first: bool) -> (u8, bool, bool) {
        if !first {
            self.b.times(10);
            self.m.times(10);
        }
        let mut digit = 0;
        while self.b.at_least(&self.s) {
            self.b.minus(&self.s);
            digit += 1;
        }
        (digit, !self.b.at_least(&self.m), !self.s.at_least(&self.b.plus(&self.m)))
    }

    fn half(&self) -> Ordering {
        let twice = self.b.plus(&self.b);
        match twice.at_least(&self.s) {
            true if twice == self.s => Ordering::Equal,
            true => Ordering::Greater,
            false => Ordering::Less,
        }
    }
}

/// A natural number, least limb first; no zero limbs at the end.
#[derive(PartialEq, Eq)]
struct Big(Vec<u32>);

impl Big {
    fn from(n: u64) -> Big {
        let mut big = Big(vec![n as u32, (n >> 32) as u32]);
        big.trim();
        big
    }

    /// The low 64 bits.
    fn low(&self) -> u64 {
        let limb = |i: usize| u64::from(self.0.get(i).copied().unwrap_or(0));
        limb(1) << 32 | limb(0)
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn shl(self, bits: u32) -> Big {
        let mut limbs = vec![0; bits as usize / 32];
        let mut carry = 0u64;
        for limb in &self.0 {
            carry |= u64::from(*limb) << (bits % 32);
            limbs.push(carry as u32);
            carry >>= 32;
        }
        limbs.push(carry as u32);
        let mut big = Big(limbs);
        big.trim();
        big
    }

    fn times(&mut self, by: u32) {
        let mut carry = 0u64;
        for limb in &mut self.0 {
            carry += u64::from(*limb) * u64::from(by);
            *limb = carry as u32;
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(carry as u32);
        }
    }

    fn plus(&self, other: &Big) -> Big {
        let mut limbs = Vec::with_capacity(self.0.len().max(other.0.len()) + 1);
        let mut carry = 0u64;
        for i in 0..self.0.len().max(other.0.len()) {
            carry += u64::from(self.0.get(i).copied().unwrap_or(0)) + u64::from(other.0.get(i).copied().unwrap_or(0));
            limbs.push(carry as u32);
            carry >>= 32;
        }
        limbs.push(carry as u32);
        let mut big = Big(limbs);
        big.trim();
        big
    }

    /// `other` must not be greater.
    fn minus(&mut self, other: &Big) {
        let mut borrow = 0i64;
        for i in 0..self.0.len() {
            let n = i64::from(self.0[i]) - i64::from(other.0.get(i).copied().unwrap_or(0)) - borrow;
            borrow = i64::from(n < 0);
            self.0[i] = n as u32;
        }
        self.trim();
    }

    fn at_least(&self, other: &Big) -> bool {
        match self.0.len().cmp(&other.0.len()) {
            Ordering::Equal => self.0.iter().rev().ge(other.0.iter().rev()),
            o => o.is_gt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(v: f64) -> String {
        let mut out = Vec::new();
        write_f64(&mut out, v);
        String::from_utf8(out).unwrap()
    }

    fn float(v: f32) -> String {
        let mut out = Vec::new();
        write_f32(&mut out, v);
        String::from_utf8(out).unwrap()
    }

    /// Printed by the original's runtime.
    #[test]
    fn numbers_are_printed_as_java_17_prints_them() {
        for (v, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.5, "0.5"),
            (4.35, "4.35"),
            (100.0, "100.0"),
            (2e-3, "0.002"),
            (1e-3, "0.001"),
            (9.99e-4, "9.99E-4"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (12_345_678.9, "1.23456789E7"),
            (1e21, "1.0E21"),
            (1e23, "9.999999999999999E22"),
            (2e23, "1.9999999999999998E23"),
            (8.41e21, "8.409999999999999E21"),
            (1e300, "1.0E300"),
            (1e308, "1.0E308"),
            (-2.5e10, "-2.5E10"),
            (123_456_789_012_345_680.0, "1.2345678901234568E17"),
            (12345678901234567890123456789.987654321, "1.2345678901234568E28"),
            (92_233_720_368_547_758.07, "9.223372036854776E16"),
            (2.225_073_858_507_201_4e-308, "2.2250738585072014E-308"),
            (64.0 + 1.0 / 32768.0, "64.00003051757812"),
            (f64::from_bits(1), "4.9E-324"),
            (1e-323, "1.0E-323"),
            (2e-323, "2.0E-323"),
            (9.5e-323, "9.4E-323"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double(v), expected);
        }
        for (v, expected) in [
            (1e23, "1.0E23"),
            (2e-3, "0.002"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (f32::from_bits(1), "1.4E-45"),
            (f32::MAX, "3.4028235E38"),
            (0.1, "0.1"),
            (16_777_216.0, "1.6777216E7"),
            (f32::MIN_POSITIVE, "1.17549435E-38"),
            (33_554_432.0, "3.3554432E7"),
            (1e10, "1.0E10"),
            (8_589_934_600.0, "8.5899346E9"),
            (1_527_385.0 + 0.25, "1527385.2"),
            (2f32.powi(83), "9.6714065E24"),
            (f32::INFINITY, "Infinity"),
        ] {
            assert_eq!(float(v), expected);
        }
    }
}
