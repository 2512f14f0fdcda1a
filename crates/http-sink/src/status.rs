//! What an answer's status means.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use walspring_record::leaf::{Civil, days_from_civil};

/// Codes and ranges, such as `429,500-599` or `500-`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<(u16, u16)>);

impl Statuses {
    pub fn parse(text: &str) -> Result<Statuses, String> {
        let code = |text: &str| {
            let code = text.trim().parse::<u16>().ok().filter(|code| (100..=999).contains(code));
            code.ok_or_else(|| format!("{text} is no status"))
        };
        let item = |item: &str| match item.split_once('-') {
            None => code(item).map(|code| (code, code)),
            Some((from, "")) => code(from).map(|from| (from, 999)),
            Some((from, to)) => Ok((code(from)?, code(to)?)),
        };
        text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(item).collect::<Result<_, _>>().map(Statuses)
    }

    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Done,
    /// To be sent again.
    Again,
    /// Whoever is asked will always answer so: the configuration is wrong.
    Misconfigured(&'static str),
    /// Something in the request is wrong, so one of its records is.
    Refused,
}

/// `same_url`: all records go to one URL, so that the URL is wrong rather than a record.
pub fn meaning(status: u16, again: &Statuses, same_url: bool) -> Meaning {
    match status {
        200..=299 => Meaning::Done,
        300..=399 => Meaning::Misconfigured("redirects are not followed: give the URL that it leads to"),
        _ if again.contains(status) => Meaning::Again,
        401 | 403 => Meaning::Misconfigured("the authorization is refused"),
        407 => Meaning::Misconfigured("a proxy wants an authorization, and proxies are not used"),
        404 | 410 if same_url => Meaning::Misconfigured("the URL is not there"),
        405 | 501 => Meaning::Misconfigured("the method is not allowed there"),
        415 => Meaning::Misconfigured("the content type is not taken: set the header Content-Type"),
        _ => Meaning::Refused,
    }
}

/// `Retry-After`: seconds, or a date.
pub fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = http_date(header)?;
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(at.saturating_sub(now)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as seconds since 1970; the two forms that are obsolete are not read.
fn http_date(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once(", ")?;
    let parts: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = parts[..] else { return None };
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? as u8 + 1;
    let (day, year): (u8, i32) = (day.parse().ok()?, year.parse().ok()?);
    let clock: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hour, minute, second] = clock[..] else { return None };
    if !(1970..=9999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days_from_civil(Civil { year, month, day });
    Some(u64::try_from(days).ok()? * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let statuses = Statuses::parse("429, 500-503,520-").unwrap();
        let in_it: Vec<u16> =
            [400, 429, 499, 500, 503, 504, 519, 520, 999].into_iter().filter(|s| statuses.contains(*s)).collect();
        assert_eq!(in_it, [429, 500, 503, 520, 999]);
        for wrong in ["4", "x", "-500", "400-x", "1000"] {
            assert!(Statuses::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(784_111_777 - 10);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:00 GMT", now), Some(Duration::ZERO));
        for wrong in
            ["", "soon", "-1", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8 GMT", "Sun, 06 Nov 0 08:49:37 GMT"]
        {
            assert_eq!(retry_after(wrong, now), None, "{wrong}");
        }
    }
}
