//! Collecting refused fields, and the checks several resources share.

use std::borrow::Cow;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::time::Millis;
use jiff::Timestamp;

use super::problem::{FieldError, Problem};
use crate::address;

/// Refused fields so far: all of them are reported at once.
#[derive(Debug, Default)]
pub struct Faults(Vec<FieldError>);

impl Faults {
    /// Notes that `field` is refused.
    pub fn add(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) {
        self.0.push(FieldError { field: field.into(), reason: reason.into() });
    }

    /// Checks the length of a text in characters.
    pub fn length(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        text: &str,
        least: usize,
        most: usize,
    ) {
        // Bytes bound characters from above: most texts need no count.
        let count = if text.is_ascii() { text.len() } else { text.chars().count() };
        if !(least..=most).contains(&count) {
            self.add(field, format!("must have {least} to {most} characters"));
        }
    }

    /// Whether nothing was refused.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value`, or what was refused.
    pub fn or<T>(self, value: T) -> Result<T, Problem> {
        if self.0.is_empty() { Ok(value) } else { Err(Problem::fields(self.0)) }
    }

    /// The refused fields as one line.
    pub fn into_line(self) -> String {
        let parts: Vec<_> =
            self.0.iter().map(|error| format!("{} {}", error.field, error.reason)).collect();
        parts.join("; ")
    }
}

/// Whether `text` is an e-mail address that mails can be written to.
pub fn is_email(text: &str) -> bool {
    address::parse(text).is_some()
}

/// Leaves the first of each.
pub fn keep_first<T: PartialEq + Copy>(items: &mut Vec<T>) {
    let mut seen = Vec::with_capacity(items.len());
    items.retain(|item| {
        let is_new = !seen.contains(item);
        if is_new {
            seen.push(*item);
        }
        is_new
    });
}

/// A fiscal code, or the problem that names its field.
pub fn fiscal_code(field: &'static str, text: &str) -> Result<FiscalCode, Problem> {
    FiscalCode::parse(text).map_err(|invalid| Problem::field(field, must_be(invalid.rule)))
}

/// "must be" with the rule of a domain type.
pub fn must_be(rule: &str) -> String {
    format!("must be {rule}")
}

/// Reads an instant of IO's form: ISO 8601, date and time, UTC as `Z`
/// (`UTCISODateFromString`). None before 1970.
pub fn utc_instant(text: &str) -> Option<Millis> {
    let bytes = text.as_bytes();
    let shape = bytes.len() >= 20 && bytes[0].is_ascii_digit() && bytes[10] == b'T';
    if !shape || bytes.last() != Some(&b'Z') {
        return None;
    }
    let instant: Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok().map(Millis)
}

/// Reads an instant of RFC 3339, section 5.6: date, time and zone, the zone as
/// `Z` or as hours and minutes. None before 1970.
pub fn zoned_instant(text: &str) -> Option<Millis> {
    let bytes = text.as_bytes();
    let dated = bytes.len() >= 20 && bytes[0].is_ascii_digit() && matches!(bytes[10], b'T' | b't');
    let zoned = match bytes.split_at_checked(bytes.len().saturating_sub(6)) {
        _ if matches!(bytes.last(), Some(b'Z' | b'z')) => true,
        Some((_, [b'+' | b'-', _, _, b':', _, _])) => true,
        _ => false,
    };
    if !dated || !zoned {
        return None;
    }
    let instant: Timestamp = text.parse().ok()?;
    u64::try_from(instant.as_millisecond()).ok().map(Millis)
}

/// Writes an instant in IO's form, with milliseconds.
pub fn iso(instant: Millis) -> String {
    i64::try_from(instant.0)
        .ok()
        .and_then(|millis| Timestamp::from_millisecond(millis).ok())
        .map_or_else(String::new, |timestamp| format!("{timestamp:.3}"))
}

#[cfg(test)]
mod tests {
    use super::{Faults, Millis, iso, utc_instant, zoned_instant};

    #[test]
    fn an_instant_must_be_utc_with_date_and_time() {
        assert_eq!(utc_instant("2018-10-13T00:00:00.000Z"), Some(Millis(1_539_388_800_000)));
        assert_eq!(utc_instant("2018-10-13T00:00:00Z"), Some(Millis(1_539_388_800_000)));
        for wrong in [
            "2018-10-13",
            "2018-10-13T00:00:00",
            "2018-10-13T00:00:00+02:00",
            "2018-10-13 00:00:00Z",
            "2018-13-13T00:00:00.000Z",
            "1969-12-31T23:59:59.000Z",
            "",
            "à18-10-13T00:00:00.000Z",
        ] {
            assert_eq!(utc_instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_zoned_instant_may_be_of_any_zone_but_needs_one() {
        for noon in
            ["2026-11-23T12:00:00Z", "2026-11-23T13:00:00.000+01:00", "2026-11-23T07:00:00-05:00"]
        {
            assert_eq!(zoned_instant(noon), Some(Millis(1_795_435_200_000)), "{noon}");
        }
        for wrong in [
            "2026-11-23",
            "2026-11-23T12:00:00",
            "2026-11-23T12:00Z",
            "2026-11-23 12:00:00Z",
            "2026-11-23T12:00:00+01",
            "2026-11-23T12:00:00+0100",
            "2026-11-23T12:00:00[Europe/Rome]",
            "2026-11-23T12:00:00+01:00[Europe/Rome]",
            "2026-11-31T12:00:00Z",
            "1969-12-31T23:59:59Z",
            "domani",
            "",
        ] {
            assert_eq!(zoned_instant(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_instant_is_written_as_io_writes_it() {
        assert_eq!(iso(Millis(1_539_388_800_000)), "2018-10-13T00:00:00.000Z");
    }

    #[test]
    fn length_counts_characters_not_bytes() {
        let mut faults = Faults::default();
        faults.length("content.subject", &"è".repeat(120), 10, 120);
        assert!(faults.is_empty());
        faults.length("content.subject", &"è".repeat(121), 10, 120);
        assert!(!faults.is_empty());
    }
}
