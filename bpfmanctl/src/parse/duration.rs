//! Durations as Go programs write them: `30s`, `1m30s`, `1.5h`, `0`.

use std::time::Duration;

/// Units, longer names first where one begins with another.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1e-9),
    ("us", 1e-6),
    ("µs", 1e-6),
    ("μs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// A duration; negative ones make no sense here.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    parse(text)
        .ok_or_else(|| format!("invalid duration \"{text}\": must be like 30s, 1m30s or 500ms"))
}

fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let (unit, factor) = UNITS.iter().find(|(unit, _)| rest.starts_with(unit))?;
        seconds += number * factor;
        rest = &rest[unit.len()..];
    }
    if text.is_empty() {
        None
    } else {
        Duration::try_from_secs_f64(seconds).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_of_go() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("10µs"), Ok(Duration::from_micros(10)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "30", "s", "-1s", "1x", "1.2.3s", ".s", "s1", "1e400h"] {
            assert!(
                duration(bad).unwrap_err().contains("must be like 30s"),
                "{bad:?}"
            );
        }
    }
}
