//! One line of the citizen import: its fields and what they must be.
//!
//! What a line does not say is as in a fresh profile ([`Citizen::new`]); a
//! line replaces the whole of a known citizen's record.

use std::collections::BTreeMap;

use araldo_actors::domain::citizen::{
    Activation, ActivationStatus, Citizen, Device, Language, Place, Platform, QuietHours,
};
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::ServiceId;
use araldo_actors::domain::preference::{PreferencesMode, PushContent, ServicePreference};
use araldo_actors::domain::time::Millis;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::body::{self, Object};
use crate::http::validate::{Faults, is_email, keep_first, must_be};

/// Most devices of a citizen.
pub const MOST_DEVICES: usize = 20;
/// Most places of a citizen.
const MOST_PLACES: usize = 20;
/// Most services a citizen has a preference or an activation for.
const MOST_PREFERENCES: usize = 1000;
/// Longest token; Apple says its length varies, Google's are below 400.
pub const LONGEST_TOKEN: usize = 4096;

/// A citizen as imported.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CitizenLine {
    fiscal_code: String,
    email: Option<String>,
    email_validated: Option<bool>,
    #[schema(value_type = Option<Vec<String>>, example = json!(["it_IT"]))]
    languages: Option<Vec<Language>>,
    /// ISTAT code, six digits.
    municipality: Option<String>,
    #[schema(value_type = Option<Vec<Object>>, example = json!([{"lat": 45.46, "lon": 9.19}]))]
    places: Option<Vec<Object<Place>>>,
    birth_year: Option<u16>,
    /// IANA name.
    timezone: Option<String>,
    #[schema(value_type = Option<QuietHoursIn>)]
    quiet_hours: Option<Object<QuietHoursIn>>,
    #[schema(value_type = Option<Vec<DeviceIn>>)]
    devices: Option<Vec<Object<DeviceIn>>>,
    is_inbox_enabled: Option<bool>,
    is_email_enabled: Option<bool>,
    is_push_enabled: Option<bool>,
    /// FULL or ANONYMOUS.
    #[schema(value_type = Option<String>)]
    push_notifications_content_type: Option<PushContent>,
    /// AUTO or MANUAL.
    preferences_mode: Option<Mode>,
    /// By service.
    #[schema(value_type = Option<BTreeMap<String, PreferenceIn>>)]
    preferences: Option<BTreeMap<String, Object<PreferenceIn>>>,
    /// Of SPECIAL services: ACTIVE, INACTIVE or PENDING.
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    activations: Option<BTreeMap<String, ActivationStatus>>,
}

/// Hours of silence, local time.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct QuietHoursIn {
    /// HH:MM.
    #[schema(example = "22:00")]
    from: String,
    /// HH:MM.
    #[schema(example = "07:00")]
    to: String,
}

/// A device with the app.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct DeviceIn {
    /// apns or fcm.
    #[schema(value_type = String)]
    platform: Platform,
    token: String,
}

/// The three switches for one service.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PreferenceIn {
    inbox: bool,
    email: bool,
    push: bool,
}

#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum Mode {
    Auto,
    Manual,
}

/// A line that can be stored, with what is odd about it.
pub struct Read {
    /// The citizen.
    pub citizen: Citizen,
    /// What is odd, though not refused.
    pub warning: Option<&'static str>,
}

/// Reads a line.
///
/// # Errors
/// Why it is refused, in one sentence without any of its values.
pub fn read(line: &[u8], now: Millis) -> Result<Read, String> {
    let parsed = body::parse::<CitizenLine>(line);
    let line = parsed.map_err(|_| match body::fault::<CitizenLine>(line) {
        Some((field, reason)) if !field.is_empty() => format!("{field} {reason}"),
        // Its only line: the number of the file's line stands beside it.
        Some((_, reason)) => format!("the line {}", reason.replace(": line 1,", " at")),
        None => "the line is not readable".to_owned(),
    })?;
    let mut faults = Faults::default();
    let code = FiscalCode::parse(&line.fiscal_code)
        .map_err(|invalid| faults.add("fiscal_code", must_be(invalid.rule)));
    // Any code does to find the other faults of the line.
    let citizen = line.check(code.ok(), now, &mut faults);
    match citizen {
        Some(citizen) if faults.is_empty() => {
            let odd = !citizen.fiscal_code.has_valid_check_character();
            let warning = odd.then_some("the check character of fiscal_code is not the right one");
            Ok(Read { citizen, warning })
        }
        _ => Err(faults.into_line()),
    }
}

impl CitizenLine {
    fn check(self, code: Option<FiscalCode>, now: Millis, faults: &mut Faults) -> Option<Citizen> {
        let email = self.email.filter(|email| check_email(email, faults));
        let municipality = self.municipality.filter(|code| check_municipality(code, faults));
        let places = check_places(self.places.unwrap_or_default(), faults);
        if self.birth_year.is_some_and(|year| !(1880..=2200).contains(&year)) {
            faults.add("birth_year", "must be 1880 to 2200");
        }
        let timezone = self.timezone.filter(|name| check_timezone(name, faults));
        let quiet_hours = self.quiet_hours.and_then(|hours| hours.0.check(faults));
        let devices = check_devices(self.devices.unwrap_or_default(), now, faults);
        let preferences =
            by_service("preferences", self.preferences, faults, |given| ServicePreference {
                inbox: given.inbox,
                email: given.email,
                push: given.push,
                ..ServicePreference::ALL
            });
        let activations = by_service("activations", self.activations, faults, |status| {
            Activation { status, at: now }
        });
        let mut languages = self.languages.unwrap_or_default();
        keep_first(&mut languages);
        let fresh = Citizen::new(code?);
        Some(Citizen {
            email,
            email_validated: self.email_validated.unwrap_or(fresh.email_validated),
            languages,
            municipality,
            places,
            birth_year: self.birth_year,
            timezone,
            quiet_hours,
            devices,
            inbox_enabled: self.is_inbox_enabled.unwrap_or(fresh.inbox_enabled),
            email_enabled: self.is_email_enabled.unwrap_or(fresh.email_enabled),
            push_enabled: self.is_push_enabled.unwrap_or(fresh.push_enabled),
            push_content: self.push_notifications_content_type.unwrap_or(fresh.push_content),
            mode: match self.preferences_mode {
                Some(Mode::Auto) => PreferencesMode::Auto,
                Some(Mode::Manual) => PreferencesMode::Manual,
                None => fresh.mode,
            },
            preferences,
            activations,
            ..fresh
        })
    }
}

fn check_email(email: &str, faults: &mut Faults) -> bool {
    let fits = is_email(email);
    if !fits {
        faults.add("email", "must be an e-mail address of at most 254 bytes");
    }
    fits
}

fn check_municipality(code: &str, faults: &mut Faults) -> bool {
    let fits = code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit());
    if !fits {
        faults.add("municipality", "must be an ISTAT code of six digits");
    }
    fits
}

fn check_places(places: Vec<Object<Place>>, faults: &mut Faults) -> Vec<Place> {
    if places.len() > MOST_PLACES {
        faults.add("places", format!("must be at most {MOST_PLACES}"));
    }
    for (index, place) in places.iter().enumerate() {
        if !(-90.0..=90.0).contains(&place.lat) || !(-180.0..=180.0).contains(&place.lon) {
            faults.add(format!("places[{index}]"), "must have lat -90 to 90 and lon -180 to 180");
        }
    }
    places.into_iter().map(|place| place.0).collect()
}

/// Against the time zone database where the system has one, else by form.
fn check_timezone(name: &str, faults: &mut Faults) -> bool {
    let form = |b: u8| b.is_ascii_alphanumeric() || b"/_+-".contains(&b);
    let database = jiff::tz::db();
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(form)
        && (database.is_definitively_empty() || database.get(name).is_ok());
    if !fits {
        faults.add("timezone", "must be an IANA time zone, such as Europe/Rome");
    }
    fits
}

impl QuietHoursIn {
    fn check(&self, faults: &mut Faults) -> Option<QuietHours> {
        let (from, to) = (minute_of_day(&self.from), minute_of_day(&self.to));
        match (from, to) {
            (Some(from), Some(to)) if from != to => Some(QuietHours { from, to }),
            (Some(_), Some(_)) => {
                faults.add("quiet_hours", "must not begin when they end");
                None
            }
            _ => {
                faults.add("quiet_hours", "must have from and to as HH:MM, 00:00 to 23:59");
                None
            }
        }
    }
}

fn minute_of_day(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |part: &str, below: u16| {
        let digits = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
        part.parse::<u16>().ok().filter(|value| digits && *value < below)
    };
    Some(number(hour, 24)? * 60 + number(minute, 60)?)
}

fn check_devices(given: Vec<Object<DeviceIn>>, now: Millis, faults: &mut Faults) -> Vec<Device> {
    if given.len() > MOST_DEVICES {
        faults.add("devices", format!("must be at most {MOST_DEVICES}"));
    }
    let mut devices: Vec<Device> = Vec::with_capacity(given.len().min(MOST_DEVICES));
    for (index, Object(DeviceIn { platform, token })) in given.into_iter().enumerate() {
        let fits = (1..=LONGEST_TOKEN).contains(&token.len())
            && token.bytes().all(|b| b.is_ascii_graphic());
        if !fits {
            let reason = format!("must be 1 to {LONGEST_TOKEN} visible ASCII characters");
            faults.add(format!("devices[{index}].token"), reason);
        } else if devices.iter().any(|known| known.platform == platform && known.token == token) {
            faults.add(format!("devices[{index}]"), "is given twice");
        } else {
            devices.push(Device { platform, token, registered_at: now, installation: None });
        }
    }
    devices
}

fn by_service<T, U>(
    field: &'static str,
    given: Option<BTreeMap<String, T>>,
    faults: &mut Faults,
    turn: impl Fn(T) -> U,
) -> BTreeMap<ServiceId, U> {
    let given = given.unwrap_or_default();
    if given.len() > MOST_PREFERENCES {
        faults.add(field, format!("must be at most {MOST_PREFERENCES}"));
    }
    let mut turned = BTreeMap::new();
    for (name, value) in given {
        match ServiceId::parse(&name) {
            Ok(id) => {
                turned.insert(id, turn(value));
            }
            Err(invalid) => faults.add(field, format!("has a name that is not {}", invalid.rule)),
        }
    }
    turned
}

#[cfg(test)]
mod tests;
