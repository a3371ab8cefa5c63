//! Dates and amounts as the citizen's language writes them.

use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::time::Millis;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::phrase::phrases;

/// Where citizens are who did not say otherwise.
const HOME: &str = "Europe/Rome";

/// `at` in the zone `name`; an unknown name counts as none.
pub(super) fn date(at: Millis, name: Option<&str>, language: Language) -> String {
    let zone = name
        .and_then(|name| TimeZone::get(name).ok())
        .or_else(|| TimeZone::get(HOME).ok())
        .unwrap_or(TimeZone::UTC);
    let there = timestamp(at).to_zoned(zone);
    let month = usize::try_from(there.month() - 1).unwrap_or(0);
    let month = phrases(language).months[month];
    let (day, year) = (there.day(), there.year());
    let time = format!("{:02}:{:02}", there.hour(), there.minute());
    match language {
        Language::Italian => format!("{day} {month} {year}, ore {time}"),
        Language::English => format!("{day} {month} {year}, {time}"),
        Language::Spanish => format!("{day} de {month} de {year}, {time}"),
        Language::German => format!("{day}. {month} {year}, {time} Uhr"),
        Language::French => format!("{day} {month} {year} à {time}"),
    }
}

/// `at` for a calendar: `20261231T225900Z` (RFC 5545, 3.3.5).
pub(super) fn calendar_time(at: Millis) -> String {
    timestamp(at).strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// An instant beyond what calendars know is the last one they do.
pub(super) fn timestamp(at: Millis) -> Timestamp {
    i64::try_from(at.0)
        .ok()
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .unwrap_or(Timestamp::MAX)
}

/// Euro cents as an amount.
pub(super) fn amount(cents: u64, language: Language) -> String {
    let (thousands, decimal) = match language {
        Language::English => (',', '.'),
        // A narrow space that does not break (Imprimerie nationale).
        Language::French => ('\u{202f}', ','),
        Language::Italian | Language::Spanish | Language::German => ('.', ','),
    };
    let digits = (cents / 100).to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(thousands);
        }
        text.push(digit);
    }
    let text = format!("{text}{decimal}{:02}", cents % 100);
    match language {
        Language::English => format!("€{text}"),
        _ => format!("{text}\u{a0}€"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Language, Millis, amount, calendar_time, date};

    /// 2026-12-31 22:59 UTC.
    const AT: Millis = Millis(1_798_757_940_000);

    #[test]
    fn a_date_is_written_in_the_citizens_language_and_zone() {
        for (language, expected) in [
            (Language::Italian, "31 dicembre 2026, ore 23:59"),
            (Language::English, "31 December 2026, 23:59"),
            (Language::Spanish, "31 de diciembre de 2026, 23:59"),
            (Language::German, "31. Dezember 2026, 23:59 Uhr"),
            (Language::French, "31 décembre 2026 à 23:59"),
        ] {
            assert_eq!(date(AT, None, language), expected);
        }
        assert_eq!(date(AT, Some("Asia/Tokyo"), Language::English), "1 January 2027, 07:59");
        assert_eq!(date(AT, Some("No/Where"), Language::English), "31 December 2026, 23:59");
        assert_eq!(calendar_time(AT), "20261231T225900Z");
        date(Millis(u64::MAX), None, Language::Italian);
    }

    #[test]
    fn an_amount_is_written_as_the_language_does() {
        assert_eq!(amount(1, Language::Italian), "0,01\u{a0}€");
        assert_eq!(amount(123_456, Language::Italian), "1.234,56\u{a0}€");
        assert_eq!(amount(9_999_999_999, Language::English), "€99,999,999.99");
        assert_eq!(amount(100_000_000, Language::French), "1\u{202f}000\u{202f}000,00\u{a0}€");
    }
}
