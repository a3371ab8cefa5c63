//! Times as people write them on the command line: 30m, 6h, 7d.

use std::time::Duration;

use jiff::SignedDuration;

/// Longest time that is taken.
const LONGEST: Duration = Duration::from_hours(24 * 365);

/// A time of at least a second, as jiff reads it ("1h 30m"), or in days.
///
/// # Errors
/// What it must be.
pub fn parse(text: &str) -> Result<Duration, String> {
    // jiff takes no days: they are not always 24 hours. Here they are.
    let days = text.strip_suffix('d').and_then(|days| days.trim().parse::<u32>().ok());
    let time = match days {
        Some(days) => Some(Duration::from_hours(24) * days),
        None => text.parse::<SignedDuration>().ok().and_then(|time| time.try_into().ok()),
    };
    time.filter(|time| (Duration::from_secs(1)..=LONGEST).contains(time))
        .ok_or_else(|| "must be a time such as 30m, 1h or 7d, at most 365d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Duration, parse};

    #[test]
    fn a_time_is_read_as_people_write_it() {
        assert_eq!(parse("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(parse("90 s"), Ok(Duration::from_secs(90)));
        assert_eq!(parse("7d"), Ok(Duration::from_secs(7 * 86_400)));
        for wrong in ["", "1", "-1h", "0s", "400d", "tomorrow"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
