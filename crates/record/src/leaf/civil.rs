//! Days and clocks: between PostgreSQL's text, counts, and ISO text. Proleptic Gregorian, years astronomical (1 BC is 0).

use std::io::Write as _;

use crate::leaf::LeafError;

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Civil {
    pub year: i32,
    pub month: u8,
    pub day: u8,
}

/// Days since 1970-01-01. Months begin in March here, so that leap days come last
/// (<https://howardhinnant.github.io/date_algorithms.html>).
pub fn days_from_civil(date: Civil) -> i64 {
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * i64::from((date.month + 9) % 12) + 2) / 5 + i64::from(date.day) - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The same of a date in the Julian calendar, which Java's older classes use up to [`GREGORIAN_START`].
pub(super) fn days_from_julian(date: Civil) -> i64 {
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let day_of_year = (153 * i64::from((date.month + 9) % 12) + 2) / 5 + i64::from(date.day) - 1;
    year * 365 + year.div_euclid(4) + day_of_year - 719_470
}

pub(super) fn julian_from_days(days: i64) -> Civil {
    let days = days + 719_470;
    let cycle = days.div_euclid(1461);
    let day_of_cycle = days.rem_euclid(1461);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1460) / 365;
    let (month, day) = month_and_day(day_of_cycle - year_of_cycle * 365);
    Civil { year: (cycle * 4 + year_of_cycle + i64::from(month <= 2)) as i32, month, day }
}

/// The first day of the Gregorian calendar for Java.
pub(super) const GREGORIAN_START: Civil = Civil { year: 1582, month: 10, day: 15 };

pub(super) fn civil_from_days(days: i64) -> Civil {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let (month, day) = month_and_day(day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100));
    Civil { year: (year_of_era + era * 400 + i64::from(month <= 2)) as i32, month, day }
}

/// Of a day of a year that begins in March.
fn month_and_day(day_of_year: i64) -> (u8, u8) {
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    (if month < 10 { month + 3 } else { month - 9 } as u8, day as u8)
}

/// `2024-02-29` at the head of the text, and what follows. Years have four digits or more and no era yet.
pub(super) fn parse_date(text: &[u8]) -> Option<(Civil, &[u8])> {
    let year_len = text.iter().position(|b| *b == b'-')?;
    let (year, rest) = text.split_at(year_len);
    let rest = rest.get(..6).filter(|r| r[0] == b'-' && r[3] == b'-')?;
    let date = Civil { year: number(year)?, month: number(&rest[1..3])? as u8, day: number(&rest[4..6])? as u8 };
    (4..=7).contains(&year_len).then_some((date, &text[year_len + 6..]))
}

/// The era after everything else: ` BC`, or nothing. Only now is it known which days the month has.
pub(super) fn parse_era(date: Civil, rest: &[u8]) -> Option<Civil> {
    let date = match rest {
        b"" => date,
        b" BC" => Civil { year: 1 - date.year, ..date },
        _ => return None,
    };
    is_valid(date).then_some(date)
}

fn is_valid(date: Civil) -> bool {
    let leap = date.year % 4 == 0 && (date.year % 100 != 0 || date.year % 400 == 0);
    let days = match date.month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&date.day)
}

/// `13:14:15.123456` at the head of the text as microseconds of the day, and what follows. `24:00:00` is a whole day.
pub(super) fn parse_clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (hour, minute) = (two_digits(*h1, *h2)?, two_digits(*m1, *m2)?);
    let (second, rest) = match rest {
        [b':', s1, s2, rest @ ..] => (two_digits(*s1, *s2)?, rest),
        _ => (0, rest),
    };
    let (micros, rest) = match rest {
        [b'.', rest @ ..] => {
            let len = rest.iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=6).contains(&len) {
                return None;
            }
            (i64::from(number(&rest[..len])?) * 10i64.pow(6 - len as u32), &rest[len..])
        }
        _ => (0, rest),
    };
    if minute > 59 || second > 59 {
        return None;
    }
    let of_day = ((hour * 60 + minute) * 60 + second) * MICROS_PER_SECOND + micros;
    (of_day <= MICROS_PER_DAY).then_some((of_day, rest))
}

/// An offset from UTC at the head of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offset {
    pub seconds: i32,
    /// The text gave seconds, which offsets before standard time have.
    pub has_seconds: bool,
}

/// `+05`, `-03:30`, `+00:17:30`, and what follows; UTC if there is none.
pub(super) fn parse_offset(text: &[u8]) -> Option<(Offset, &[u8])> {
    let [sign @ (b'+' | b'-'), h1, h2, rest @ ..] = text else {
        return Some((Offset { seconds: 0, has_seconds: false }, text));
    };
    let part = |rest: &'_ [u8]| match rest {
        [b':', a, b, ..] => Some(two_digits(*a, *b)),
        _ => None,
    };
    let mut seconds = two_digits(*h1, *h2)? * 3600;
    let (mut rest, mut has_seconds) = (rest, false);
    if let Some(minutes) = part(rest) {
        seconds += minutes? * 60;
        rest = &rest[3..];
        if let Some(s) = part(rest) {
            seconds += s?;
            rest = &rest[3..];
            has_seconds = true;
        }
    }
    let seconds = if *sign == b'-' { -seconds } else { seconds } as i32;
    Some((Offset { seconds, has_seconds }, rest))
}

fn two_digits(a: u8, b: u8) -> Option<i64> {
    let (a, b) = (a.wrapping_sub(b'0'), b.wrapping_sub(b'0'));
    (a < 10 && b < 10).then(|| i64::from(a * 10 + b))
}

/// At most nine digits.
fn number(digits: &[u8]) -> Option<i32> {
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    digits.iter().try_fold(0i32, |n, d| d.is_ascii_digit().then(|| n * 10 + i32::from(d - b'0')))
}

/// `2024-02-29`; years beyond four digits have a sign, as in ISO 8601.
pub(super) fn write_date(date: Civil, out: &mut Vec<u8>) {
    let Civil { year, month, day } = date;
    if (0..=9999).contains(&year) {
        let year = year as u32;
        push_two(out, year / 100);
        push_two(out, year % 100);
    } else {
        // Writing to a `Vec` cannot fail.
        let _ = write!(out, "{}{:04}", if year < 0 { '-' } else { '+' }, year.unsigned_abs());
    }
    out.push(b'-');
    push_two(out, u32::from(month));
    out.push(b'-');
    push_two(out, u32::from(day));
}

/// How many digits of a second are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fraction {
    /// As many as it needs, and no point if none.
    Minimal,
    Digits(u8),
}

/// `13:14:15.123456`
pub(super) fn write_clock(micros_of_day: i64, fraction: Fraction, out: &mut Vec<u8>) {
    let seconds = (micros_of_day / MICROS_PER_SECOND) as u32;
    push_two(out, seconds / 3600);
    out.push(b':');
    push_two(out, seconds / 60 % 60);
    out.push(b':');
    push_two(out, seconds % 60);
    let micros = (micros_of_day % MICROS_PER_SECOND) as u32;
    let digits = match fraction {
        Fraction::Digits(n) => usize::from(n.min(9)),
        Fraction::Minimal if micros == 0 => 0,
        Fraction::Minimal => 6,
    };
    if digits == 0 {
        return;
    }
    out.push(b'.');
    let start = out.len();
    push_two(out, micros / 10_000);
    push_two(out, micros / 100 % 100);
    push_two(out, micros % 100);
    out.resize(start + digits, b'0');
    if fraction == Fraction::Minimal {
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

fn push_two(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&[b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]);
}

pub(super) fn date_error() -> LeafError {
    LeafError::form("a date in ISO form")
}
