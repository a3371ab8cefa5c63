//! One synthetic citizen and the import line that describes it.
//!
//! Passive data and one pure function. Field names of the line are those of the citizen import.

use std::collections::BTreeMap;

use serde::Serialize;

use super::fiscal_code::{Parts, encode};
use super::names::{SURNAMES, given_name};
use super::places::places;
use super::{Draw, Mix, Population};
use crate::catalogue::catalogue;

/// First day a date of birth is drawn from, in days of the calendar below.
const FIRST_YEAR: u16 = 1930;

/// A device that takes push notifications.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Device {
    /// `apns` or `fcm`.
    pub platform: &'static str,
    /// Token in the shape of the platform's real ones.
    pub token: String,
}

/// What happens with services the citizen never decided about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    /// They may write.
    Auto,
    /// They may not.
    Manual,
}

/// The citizen's switches for one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Switches {
    /// The service may write at all.
    pub inbox: bool,
    /// And by e-mail.
    pub email: bool,
    /// And by push.
    pub push: bool,
}

/// A synthetic citizen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Citizen {
    /// Codice fiscale with a right check character.
    pub fiscal_code: String,
    /// Given name.
    pub given_name: &'static str,
    /// Surname.
    pub surname: &'static str,
    /// Sex as in the codice fiscale.
    pub female: bool,
    /// Year of birth.
    pub birth_year: u16,
    /// Position of the municipality of residence in the table.
    pub municipality: usize,
    /// Languages, the preferred one first.
    pub languages: &'static [&'static str],
    /// E-mail address in a reserved domain.
    pub email: Option<String>,
    /// Whether the address was confirmed.
    pub email_validated: bool,
    /// Devices, 0 to 3.
    pub devices: Vec<Device>,
    /// The inbox is on.
    pub is_inbox_enabled: bool,
    /// E-mail is on.
    pub is_email_enabled: bool,
    /// Push is on.
    pub is_push_enabled: bool,
    /// What holds for services without switches.
    pub mode: Mode,
    /// Switches by position of the service in the catalogue.
    pub preferences: BTreeMap<usize, Switches>,
}

#[derive(Serialize)]
struct Line<'a> {
    fiscal_code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    email_validated: bool,
    languages: &'a [&'a str],
    municipality: &'a str,
    birth_year: u16,
    timezone: &'a str,
    devices: &'a [Device],
    is_inbox_enabled: bool,
    is_email_enabled: bool,
    is_push_enabled: bool,
    preferences_mode: Mode,
    preferences: BTreeMap<&'a str, Switches>,
}

impl Citizen {
    /// The import line, without the line feed.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "strings, numbers and maps with string keys always serialise"
    )]
    pub fn line(&self) -> String {
        let services = catalogue().services();
        let line = Line {
            fiscal_code: &self.fiscal_code,
            email: self.email.as_deref(),
            email_validated: self.email_validated,
            languages: self.languages,
            municipality: &places().all()[self.municipality].istat_code,
            birth_year: self.birth_year,
            timezone: "Europe/Rome",
            devices: &self.devices,
            is_inbox_enabled: self.is_inbox_enabled,
            is_email_enabled: self.is_email_enabled,
            is_push_enabled: self.is_push_enabled,
            preferences_mode: self.mode,
            preferences: self
                .preferences
                .iter()
                .map(|(position, switches)| (services[*position].id.as_str(), *switches))
                .collect(),
        };
        serde_json::to_string(&line).expect("a line serialises")
    }
}

pub(super) fn draw(population: &Population, index: u64) -> Citizen {
    let mut draw = Draw::new(population.seed, index);
    let (surname, birth_day) = population.identity(index);
    let surname = &SURNAMES.all[surname];
    let female = draw.percent(51);
    let (given_name, given_triplet) = given_name(female, draw.word());
    let municipality = places().draw(draw.word());
    let home = &places().all()[municipality];
    let birth_place =
        if draw.percent(70) { home } else { &places().all()[places().draw(draw.word())] };
    let (year, month, day) = date(birth_day);
    let mut place = *b"A000";
    place.copy_from_slice(&birth_place.cadastral_code.as_bytes()[..4]);
    let fiscal_code = encode(&Parts {
        surname: surname.triplet,
        given_name: given_triplet,
        year,
        month,
        day,
        female,
        place,
    });
    let mix = population.mix;
    let reachable = mix != Mix::Real;
    let devices = devices(&mut draw, mix);
    let has_address = if reachable {
        matches!(mix, Mix::MailOnly | Mix::DeviceAndMail)
    } else {
        draw.percent(70)
    };
    let email = has_address.then(|| address(given_name, &surname.name, index));
    let mode = if !reachable && draw.percent(12) { Mode::Manual } else { Mode::Auto };
    Citizen {
        fiscal_code,
        given_name,
        surname: &surname.name,
        female,
        birth_year: year,
        municipality,
        languages: languages(&mut draw, &home.province_code),
        email,
        email_validated: has_address && (reachable || draw.percent(92)),
        devices,
        is_inbox_enabled: reachable || draw.percent(96),
        is_email_enabled: reachable || draw.percent(85),
        is_push_enabled: reachable || draw.percent(93),
        mode,
        preferences: if reachable {
            BTreeMap::new()
        } else {
            preferences(&mut draw, mode, municipality)
        },
    }
}

fn devices(draw: &mut Draw, mix: Mix) -> Vec<Device> {
    let one = matches!(mix, Mix::OneDevice | Mix::OneApns | Mix::OneFcm | Mix::DeviceAndMail);
    let count = match draw.below(100) {
        _ if one => 1,
        _ if mix != Mix::Real => 0,
        0..15 => 0,
        15..77 => 1,
        77..96 => 2,
        _ => 3,
    };
    (0..count)
        .map(|_| {
            let fcm = match mix {
                Mix::OneApns => false,
                Mix::OneFcm => true,
                _ => draw.percent(55),
            };
            if fcm {
                Device { platform: "fcm", token: fcm_token(draw) }
            } else {
                Device { platform: "apns", token: apns_token(draw) }
            }
        })
        .collect()
}

/// 32 bytes in hex.
fn apns_token(draw: &mut Draw) -> String {
    (0..4).map(|_| format!("{:016x}", draw.word())).collect()
}

/// 22 characters of instance id, `:APA91b`, 123 characters.
fn fcm_token(draw: &mut Draw) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut token = String::with_capacity(152);
    let mut add = |count: usize, token: &mut String| {
        let mut word = 0;
        for place in 0..count {
            if place % 10 == 0 {
                word = draw.word();
            }
            token.push(char::from(ALPHABET[usize::from((word & 63) as u8)]));
            word >>= 6;
        }
    };
    add(22, &mut token);
    token.push_str(":APA91b");
    add(123, &mut token);
    token
}

/// Nobody else's: the index is in it. Letters only, since names have blanks and apostrophes.
fn address(given_name: &str, surname: &str, index: u64) -> String {
    let plain = |name: &str| -> String {
        let letters = name.chars().filter(char::is_ascii_alphabetic);
        letters.map(|letter| letter.to_ascii_lowercase()).collect()
    };
    format!("{}.{}.{index}@posta.example", plain(given_name), plain(surname))
}

fn languages(draw: &mut Draw, province_code: &str) -> &'static [&'static str] {
    let point = draw.below(100);
    // South Tyrol: about two thirds speak German (census of 2011).
    if province_code == "021" && point < 66 {
        return &["de_DE", "it_IT"];
    }
    match point {
        96.. => &["en_GB", "it_IT"],
        95 => &["es_ES"],
        94 => &["fr_FR", "it_IT"],
        _ => &["it_IT"],
    }
}

fn preferences(draw: &mut Draw, mode: Mode, municipality: usize) -> BTreeMap<usize, Switches> {
    let mut switches = BTreeMap::new();
    for service in catalogue().fitting(municipality) {
        let point = draw.below(100);
        let decided = match (mode, point) {
            // Who decides by hand has let most services in.
            (Mode::Manual, 0..65) => {
                Switches { inbox: true, email: draw.percent(60), push: draw.percent(85) }
            }
            (Mode::Auto, 0..2) => Switches { inbox: false, email: false, push: false },
            (Mode::Auto, 2..4) => Switches { inbox: true, email: true, push: false },
            (Mode::Auto, 4..7) => Switches { inbox: true, email: false, push: true },
            _ => continue,
        };
        switches.insert(service, decided);
    }
    switches
}

/// The calendar date that many days after 1 January 1930.
fn date(mut days: u64) -> (u16, u8, u8) {
    const LENGTHS: [u64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut year = FIRST_YEAR;
    // 1930-2009 has 2000 as its only century year, and that one is a leap year.
    let length = |year: u16| if year.is_multiple_of(4) { 366 } else { 365 };
    while days >= length(year) {
        days -= length(year);
        year += 1;
    }
    for (month, usual) in (1..).zip(LENGTHS) {
        let this = usual + u64::from(month == 2 && year.is_multiple_of(4));
        if days < this {
            return (year, month, u8::try_from(days + 1).unwrap_or(1));
        }
        days -= this;
    }
    (year, 12, 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::BIRTH_DAYS;

    #[test]
    fn every_day_of_birth_is_a_different_date_of_eighty_years() {
        assert_eq!(date(0), (1930, 1, 1));
        assert_eq!(date(365 + 365), (1932, 1, 1));
        assert_eq!(date(365 + 365 + 59), (1932, 2, 29));
        let dates: std::collections::HashSet<_> = (0..BIRTH_DAYS).map(date).collect();
        assert_eq!(dates.len() as u64, BIRTH_DAYS);
        assert!(date(BIRTH_DAYS - 1).0 <= 2009);
    }
}
