//! Points in time as RFC 3339 text.

/// What stands for "unknown" where a time must be given.
const ZERO: &str = "0001-01-01T00:00:00Z";

/// Seconds since the Unix epoch as UTC text; 0 and less are unknown.
pub(crate) fn rfc3339(seconds: i64) -> String {
    // The year 9999 is the last one that the format can tell.
    if !(1..=253_402_300_799).contains(&seconds) {
        return ZERO.to_owned();
    }
    let (year, month, day) = civil(seconds / 86_400);
    let second = seconds % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from March, so that the leap day is the
/// last of its year, in eras of 400 years, which all have the same length.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_ERA: i64 = 146_097;
    const DAYS_TO_MARCH_OF_YEAR_0: i64 = 719_468;
    let days = days + DAYS_TO_MARCH_OF_YEAR_0;
    let era = days / DAYS_OF_ERA;
    let day_of_era = days % DAYS_OF_ERA;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_points() {
        assert_eq!(rfc3339(1), "1970-01-01T00:00:01Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_786_961_472), "2026-08-17T10:11:12Z");
        assert_eq!(rfc3339(4_107_542_399), "2100-02-28T23:59:59Z");
        assert_eq!(rfc3339(4_107_542_400), "2100-03-01T00:00:00Z");
        assert_eq!(rfc3339(253_402_300_799), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn what_cannot_be_told_is_unknown() {
        for seconds in [i64::MIN, -1, 0, 253_402_300_800, i64::MAX] {
            assert_eq!(rfc3339(seconds), ZERO);
        }
    }

    #[test]
    fn days_follow_one_another() {
        let mut previous = civil(0);
        for day in 1..100_000 {
            let next = civil(day);
            assert!(next > previous, "{previous:?} {next:?}");
            assert!(next.2 == previous.2 + 1 || next.2 == 1);
            previous = next;
        }
    }
}
