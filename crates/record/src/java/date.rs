//! `java.util.Date` as text, in UTC.

use super::write_int;

/// Year, month and day of a number of days since 1970, proleptic Gregorian.
///
/// Counts from 1 March of year 0, so that a leap day ends its year; 400 years are 146,097 days.
pub fn civil(days: i64) -> (i64, u32, u32) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month as u32, (day_of_year - (153 * shifted + 2) / 5 + 1) as u32)
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const DAY: i64 = 86_400_000;

/// `Date.toString()`: `Tue Nov 14 22:13:20 UTC 2023`.
pub fn write_date(millis: i64, out: &mut Vec<u8>) {
    let (days, ms) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
    let (year, month, day) = civil(days);
    let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let month = MONTHS[month as usize - 1];
    out.extend_from_slice(format!("{weekday} {month} {day:02} {h:02}:{m:02}:{s:02} UTC ").as_bytes());
    write_int(out, year);
}

/// As `Values.dateFormatFor` picks: a time below one day, a date at midnight, else both.
pub fn write_iso_date(millis: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(millis.div_euclid(DAY));
    let ms = millis.rem_euclid(DAY);
    let (h, m, s, f) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000);
    let text = if millis < DAY {
        format!("{h:02}:{m:02}:{s:02}.{f:03}Z")
    } else if ms == 0 {
        format!("{year:04}-{month:02}-{day:02}")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}.{f:03}Z")
    };
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_printed_as_java_prints_them() {
        let text = |write: fn(i64, &mut Vec<u8>), ms| {
            let mut out = Vec::new();
            write(ms, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(write_date, 1_700_000_000_123), "Tue Nov 14 22:13:20 UTC 2023");
        assert_eq!(text(write_date, 3 * DAY), "Sun Jan 04 00:00:00 UTC 1970");
        for (ms, expected) in [
            (0, "00:00:00.000Z"),
            (1, "00:00:00.001Z"),
            (-1, "23:59:59.999Z"),
            (DAY, "1970-01-02"),
            (DAY + 1, "1970-01-02T00:00:00.001Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        ] {
            assert_eq!(text(write_iso_date, ms), expected);
        }
    }
}
