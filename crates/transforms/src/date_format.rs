//! Times as text, by the patterns of Java's `SimpleDateFormat`, in UTC and in English.
//!
//! Days are counted in the Gregorian calendar throughout, where Java changes to the Julian one before 1582. A year of two
//! digits is written, but not read: which century it is in would depend on the day of reading.

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DateFormat {
    pattern: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// A letter, and how often it stands there.
    Field(char, usize),
}

const DAY: i64 = 86_400_000;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl DateFormat {
    pub fn new(pattern: &str) -> Result<DateFormat, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut characters = pattern.chars().peekable();
        let mut quoted = false;
        while let Some(c) = characters.next() {
            match c {
                // Two in a row stand for one.
                '\'' if characters.next_if_eq(&'\'').is_some() => push_text(&mut parts, '\''),
                '\'' => quoted = !quoted,
                c if quoted || !c.is_ascii_alphabetic() => push_text(&mut parts, c),
                c if "GyYMLwWDdFEuaHkKhmsSzZX".contains(c) => match parts.last_mut() {
                    Some(Part::Field(last, count)) if *last == c => *count += 1,
                    _ => parts.push(Part::Field(c, 1)),
                },
                c => return Err(format!("Illegal pattern character '{c}'")),
            }
        }
        if quoted {
            return Err("Unterminated quote".to_owned());
        }
        Ok(DateFormat { pattern: pattern.to_owned(), parts })
    }

    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Milliseconds since 1970 as text.
    pub fn format(&self, millis: i64) -> String {
        let (days, ms) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
        let (year, month, day) = walspring_record::java::civil(days);
        let weekday = (days + 4).rem_euclid(7);
        let first = days_from_civil(year, 1, 1);
        let day_of_year = days - first + 1;
        let hour = ms / 3_600_000;
        let mut out = String::new();
        for part in &self.parts {
            let (letter, count) = match part {
                Part::Text(text) => {
                    out.push_str(text);
                    continue;
                }
                Part::Field(letter, count) => (*letter, *count),
            };
            let mut number = |value: i64| out.push_str(&format!("{value:0count$}"));
            let of_era = if year > 0 { year } else { 1 - year };
            match letter {
                'y' if count == 2 => number(of_era % 100),
                'y' => number(of_era),
                'Y' => match of_era + i64::from(month == 12 && week_of_year(days, year) == 1) {
                    year if count == 2 => number(year % 100),
                    year => number(year),
                },
                'M' | 'L' if count >= 3 => out.push_str(named(MONTHS[month as usize - 1], count)),
                'M' | 'L' => number(i64::from(month)),
                'w' => number(week_of_year(days, year)),
                'W' => number((i64::from(day) - 1 + (weekday - i64::from(day) + 1).rem_euclid(7)) / 7 + 1),
                'D' => number(day_of_year),
                'd' => number(i64::from(day)),
                'F' => number((i64::from(day) - 1) / 7 + 1),
                'E' => out.push_str(named(WEEKDAYS[weekday as usize], count)),
                'u' => number((weekday + 6) % 7 + 1),
                'a' => out.push_str(if hour < 12 { "AM" } else { "PM" }),
                'H' => number(hour),
                'k' => number(if hour == 0 { 24 } else { hour }),
                'K' => number(hour % 12),
                'h' => number(if hour % 12 == 0 { 12 } else { hour % 12 }),
                'm' => number(ms / 60_000 % 60),
                's' => number(ms / 1000 % 60),
                'S' => number(ms % 1000),
                'G' => out.push_str(if year > 0 { "AD" } else { "BC" }),
                'z' => out.push_str(if count >= 4 { "Coordinated Universal Time" } else { "UTC" }),
                'Z' => out.push_str("+0000"),
                _ => out.push('Z'),
            }
        }
        out
    }

    /// Text as milliseconds since 1970; `None`: it has another form. Numbers beyond their range count on, and what stands
    /// behind does not count, as in Java.
    pub fn parse(&self, text: &str) -> Option<i64> {
        let mut rest = text;
        let mut read = Read { year: 1970, month: 1, day: 1, ..Read::default() };
        for (at, part) in self.parts.iter().enumerate() {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Field(letter, count) => {
                    let next_is_number = matches!(self.parts.get(at + 1), Some(Part::Field(c, n)) if is_number(*c, *n));
                    rest = read.field(*letter, *count, next_is_number, rest.trim_start_matches([' ', '\t']))?;
                }
            }
        }
        read.millis()
    }
}

#[derive(Debug, Default)]
struct Read {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    /// Of 24, or of 12.
    hour: i64,
    half_hour: Option<i64>,
    afternoon: bool,
    minute: i64,
    second: i64,
    millis: i64,
    /// East of Greenwich.
    offset_minutes: i64,
    before_christ: bool,
}

impl Read {
    /// What is left of the text after the field.
    fn field<'t>(&mut self, letter: char, count: usize, exact: bool, text: &'t str) -> Option<&'t str> {
        let number = || {
            let digits = text.bytes().take_while(u8::is_ascii_digit).count();
            // Before another number as many digits as there are letters, else all.
            let digits = if exact { digits.min(count) } else { digits };
            let value: i64 = text[..digits].parse().ok()?;
            (value < 100_000_000_000).then_some((value, &text[digits..]))
        };
        if is_number(letter, count) {
            let (value, rest) = number()?;
            match letter {
                'y' | 'Y' if count <= 2 && text.len() - rest.len() == 2 => return None,
                'y' | 'Y' => self.year = value,
                'M' | 'L' => self.month = value,
                'd' => self.day = value,
                'D' => self.day_of_year = Some(value),
                'H' => self.hour = value,
                'k' => self.hour = value % 24,
                'K' => self.half_hour = Some(value),
                'h' => self.half_hour = Some(value % 12),
                'm' => self.minute = value,
                's' => self.second = value,
                'S' => self.millis = value,
                // Weeks and their days say nothing that the date does not.
                _ => {}
            }
            return Some(rest);
        }
        match letter {
            'M' | 'L' => {
                let (at, rest) = one_of(&MONTHS, text)?;
                self.month = at as i64 + 1;
                Some(rest)
            }
            'E' => Some(one_of(&WEEKDAYS, text)?.1),
            'a' => {
                let (at, rest) = one_of(&["AM", "PM"], text)?;
                self.afternoon = at == 1;
                Some(rest)
            }
            'G' => {
                let (at, rest) = one_of(&["AD", "BC"], text)?;
                self.before_christ = at == 1;
                Some(rest)
            }
            _ => self.zone(text),
        }
    }

    /// `Z`, `UTC`, `GMT`, `+01`, `+0100`, `+01:00`.
    fn zone<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        let rest = ["UTC", "GMT", "Z"].iter().find_map(|name| text.strip_prefix(name)).unwrap_or(text);
        let sign = match rest.bytes().next() {
            Some(b'+') => 1,
            Some(b'-') => -1,
            _ => return (rest.len() < text.len()).then_some(rest),
        };
        let pair = |text: &'t str| {
            let pair = text.get(..2).filter(|pair| pair.bytes().all(|b| b.is_ascii_digit()))?;
            Some((pair.parse::<i64>().ok()?, &text[2..]))
        };
        let (hours, rest) = pair(&rest[1..])?;
        let (minutes, rest) = pair(rest.strip_prefix(':').unwrap_or(rest)).unwrap_or((0, rest));
        self.offset_minutes = sign * (hours * 60 + minutes);
        Some(rest)
    }

    fn millis(&self) -> Option<i64> {
        let year = if self.before_christ { 1 - self.year } else { self.year };
        let days = match self.day_of_year {
            Some(day) => days_from_civil(year, 1, 1).checked_add(day - 1)?,
            None => days_from_civil(year, self.month, self.day),
        };
        let hour = self.half_hour.map_or(self.hour, |hour| hour + if self.afternoon { 12 } else { 0 });
        let minutes = hour.checked_mul(60)?.checked_add(self.minute)?.checked_sub(self.offset_minutes)?;
        let millis = minutes.checked_mul(60)?.checked_add(self.second)?.checked_mul(1000)?.checked_add(self.millis)?;
        days.checked_mul(DAY)?.checked_add(millis)
    }
}

fn push_text(parts: &mut Vec<Part>, c: char) {
    match parts.last_mut() {
        Some(Part::Text(text)) => text.push(c),
        _ => parts.push(Part::Text(c.to_string())),
    }
}

fn is_number(letter: char, count: usize) -> bool {
    match letter {
        'M' | 'L' => count <= 2,
        'G' | 'E' | 'a' | 'z' | 'Z' | 'X' => false,
        _ => true,
    }
}

/// In full from four letters on, else its first three.
fn named(name: &str, count: usize) -> &str {
    if count >= 4 { name } else { &name[..3] }
}

/// A name in full or by its first three letters, in any case.
fn one_of<'t>(names: &[&str], text: &'t str) -> Option<(usize, &'t str)> {
    let starts = |name: &str| text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
    let found = |short: bool| {
        names.iter().enumerate().find_map(|(at, name)| {
            let name = if short && name.len() > 3 { &name[..3] } else { name };
            starts(name).then(|| (at, &text[name.len()..]))
        })
    };
    found(false).or_else(|| found(true))
}

/// Weeks begin on Sunday; the first is the one that has 1 January in it.
fn week_of_year(days: i64, year: i64) -> i64 {
    let week_began = days - (days + 4).rem_euclid(7);
    let began = |year: i64| {
        let first = days_from_civil(year, 1, 1);
        first - (first + 4).rem_euclid(7)
    };
    if week_began >= began(year + 1) { 1 } else { (week_began - began(year)) / 7 + 1 }
}

/// Days since 1970; months and days beyond their range count on.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (year.saturating_add((month - 1).div_euclid(12)), (month - 1).rem_euclid(12) + 1);
    let year = year - i64::from(month <= 2);
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era.saturating_mul(146_097) + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(pattern: &str, millis: i64) -> String {
        DateFormat::new(pattern).unwrap().format(millis)
    }

    #[test]
    fn times_are_written_as_java_writes_them() {
        let ms = 1_709_212_455_123;
        for (pattern, text) in [
            ("yyyy-MM-dd'T'HH:mm:ss.SSS", "2024-02-29T13:14:15.123"),
            ("EEE, d MMM yy h:mm a X D w", "Thu, 29 Feb 24 1:14 PM Z 60 9"),
            ("EEEE MMMM ''yyyy'' G z Z", "Thursday February '2024' AD UTC +0000"),
            ("yyyyMMdd", "20240229"),
            ("W F u k K", "5 5 4 13 1"),
        ] {
            assert_eq!(formatted(pattern, ms), text, "{pattern}");
        }
        assert_eq!(formatted("EEE, d MMM yy h:mm a X D w", -1), "Wed, 31 Dec 69 11:59 PM Z 365 1");
        assert!(DateFormat::new("yyyy-bb").is_err());
        assert!(DateFormat::new("yyyy'").is_err());
    }

    #[test]
    fn what_is_written_is_read() {
        for (pattern, text, ms) in [
            ("yyyy-MM-dd HH:mm:ss", "2024-02-29 13:14:15", 1_709_212_455_000),
            ("yyyy-MM-dd HH:mm:ss", "1969-12-31 23:59:59", -1000),
            ("yyyyMMddHHmmssSSS", "20240229131415123", 1_709_212_455_123),
            ("d MMM yyyy h:mm a", "29 feb 2024 1:14 PM", 1_709_212_440_000),
            ("yyyy-MM-dd'T'HH:mm:ssX", "2024-02-29T14:14:15+01:00", 1_709_212_455_000),
            ("yyyy-MM-dd", "2024-02-30 and more", 1_709_251_200_000),
            ("D yyyy", "60 2024", 1_709_164_800_000),
        ] {
            assert_eq!(DateFormat::new(pattern).unwrap().parse(text), Some(ms), "{text}");
        }
        for (pattern, text) in [
            ("yyyy-MM-dd", "x"),
            ("yyyy-MM-dd", "2024-02"),
            ("yy", "24"),
            ("MMM", "xyz"),
            ("yyyy", "99999999999999999999"),
        ] {
            assert_eq!(DateFormat::new(pattern).unwrap().parse(text), None, "{text}");
        }
    }
}
