//! A change of a profile: its form, and what it makes of the present one.

use std::collections::BTreeMap;

use araldo_actors::domain::citizen::{Citizen, Language};
use araldo_actors::domain::id::{AddressId, ServiceId};
use araldo_actors::domain::preference::{PreferencesMode, PushContent, ServicePreference};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Blocked, PreferencesSettings, ReminderStatus};
use crate::http::body::Object;
use crate::http::citizen::preference::MOST_PREFERENCES;
use crate::http::citizen::session;
use crate::http::problem::{Kind, Problem};
use crate::http::validate::{Faults, is_email, must_be};

/// A profile as it is written.
#[derive(Deserialize, ToSchema)]
#[schema(as = Profile)]
pub struct ProfileChange {
    #[schema(format = "email", max_length = 254)]
    email: Option<String>,
    #[schema(value_type = Option<PreferencesSettings>)]
    service_preferences_settings: Option<Object<PreferencesSettings>>,
    /// In mode LEGACY, in place of those stored; otherwise without effect.
    blocked_inbox_or_channels: Option<BTreeMap<String, Vec<Blocked>>>,
    #[schema(value_type = Option<Vec<String>>, example = json!(["it_IT"]))]
    preferred_languages: Option<Vec<Language>>,
    is_inbox_enabled: Option<bool>,
    #[schema(minimum = 1)]
    accepted_tos_version: Option<f64>,
    is_webhook_enabled: Option<bool>,
    is_email_enabled: Option<bool>,
    reminder_status: Option<ReminderStatus>,
    #[schema(pattern = r"^((0|[1-9]\d*)\.){2}(0|[1-9]\d*)(\.(0|[1-9]\d*)){0,1}$")]
    last_app_version: Option<String>,
    /// FULL or ANONYMOUS.
    #[schema(value_type = Option<String>)]
    push_notifications_content_type: Option<PushContent>,
    /// The version that was read; 0 when there was no profile.
    version: u32,
}

/// A change whose parts have their form.
pub(super) struct Change {
    given: ProfileChange,
    blocked: Option<BTreeMap<ServiceId, ServicePreference>>,
    accepted_tos_version: Option<u32>,
}

impl ProfileChange {
    /// Checks what the contract says of each field.
    pub(super) fn check(mut self) -> Result<Change, Problem> {
        let mut faults = Faults::default();
        if self.email.as_deref().is_some_and(|email| !is_email(email)) {
            faults.add("email", "must be an e-mail address of at most 254 bytes");
        }
        if self.last_app_version.as_deref().is_some_and(|version| !is_app_version(version)) {
            faults.add("last_app_version", "must be three or four numbers, such as 1.10.11");
        }
        let accepted_tos_version = self.accepted_tos_version.and_then(|version| {
            let fits = version.fract() == 0.0 && (1.0..=f64::from(u32::MAX)).contains(&version);
            if !fits {
                faults.add("accepted_tos_version", "must be a whole number, 1 or more");
            }
            fits.then_some(version as u32)
        });
        if let Some(languages) = &mut self.preferred_languages {
            let mut seen = Vec::new();
            languages.retain(|language| {
                let is_new = !seen.contains(language);
                seen.push(*language);
                is_new
            });
        }
        let blocked = self.blocked_inbox_or_channels.take();
        let blocked = blocked.map(|blocked| check_blocked(blocked, &mut faults));
        faults.or(Change { given: self, blocked, accepted_tos_version })
    }
}

fn check_blocked(
    given: BTreeMap<String, Vec<Blocked>>,
    faults: &mut Faults,
) -> BTreeMap<ServiceId, ServicePreference> {
    let field = "blocked_inbox_or_channels";
    if given.len() > MOST_PREFERENCES {
        faults.add(field, format!("must name at most {MOST_PREFERENCES} services"));
    }
    let mut preferences = BTreeMap::new();
    for (name, channels) in given {
        let on = |channel| !channels.contains(&channel);
        let preference = ServicePreference {
            inbox: on(Blocked::Inbox),
            email: on(Blocked::Email),
            push: on(Blocked::Webhook),
            ..ServicePreference::ALL
        };
        match ServiceId::parse(&name) {
            Ok(id) => {
                preferences.insert(id, preference);
            }
            Err(invalid) => {
                faults.add(field, format!("has a name that {}", must_be(invalid.rule)));
            }
        }
    }
    preferences
}

/// IO's `AppVersion`: three or four numbers without leading zeros.
fn is_app_version(text: &str) -> bool {
    let is_number = |part: &str| {
        let digits = (1..=9).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        digits && (part == "0" || !part.starts_with('0'))
    };
    matches!(text.split('.').count(), 3 | 4) && text.split('.').all(is_number)
}

impl Change {
    /// The address given.
    pub(super) fn address(&self) -> Option<AddressId> {
        self.given.email.as_deref().map(AddressId::of)
    }

    /// Whether the address given is another than the one stored.
    pub(super) fn is_new_address(&self, present: Option<&Citizen>) -> bool {
        self.address().is_some_and(|address| {
            present.and_then(Citizen::address).is_none_or(|stored| stored != address)
        })
    }

    /// The record after this change of `present`; `fresh` where there is none.
    pub(super) fn apply(
        &self,
        present: Option<Citizen>,
        fresh: &Citizen,
    ) -> Result<Citizen, Problem> {
        let present = match present {
            None if self.given.version == 0 => fresh.clone(),
            None => return Err(session::unknown()),
            Some(present) => present,
        };
        if self.given.version != present.version {
            return Err(Problem::new(
                Kind::Conflict,
                "version is not that of the present profile; read it again",
            ));
        }
        let given = &self.given;
        let is_first_acceptance =
            present.accepted_tos_version.is_none() && self.accepted_tos_version.is_some();
        let is_new_address = self.is_new_address(Some(&present));
        let mut citizen = self.with_mode(present)?;
        citizen.version += 1;
        if let Some(email) = &given.email {
            citizen.email = Some(email.clone());
            citizen.email_validated &= !is_new_address;
        }
        set(&mut citizen.languages, given.preferred_languages.clone());
        set(&mut citizen.inbox_enabled, given.is_inbox_enabled);
        set(&mut citizen.push_enabled, given.is_webhook_enabled);
        set(&mut citizen.email_enabled, given.is_email_enabled);
        set(&mut citizen.push_content, given.push_notifications_content_type);
        set(&mut citizen.reminders, given.reminder_status.map(|s| s == ReminderStatus::Enabled));
        citizen.accepted_tos_version = self.accepted_tos_version.or(citizen.accepted_tos_version);
        citizen.last_app_version = given.last_app_version.clone().or(citizen.last_app_version);
        if is_first_acceptance {
            citizen.inbox_enabled = true;
            citizen.push_enabled = true;
        }
        Ok(citizen)
    }

    /// The mode and what it does to the preferences.
    fn with_mode(&self, mut citizen: Citizen) -> Result<Citizen, Problem> {
        let before = citizen.mode;
        let settings = self.given.service_preferences_settings.as_ref();
        let mode = settings.map_or(before, |settings| settings.mode);
        if mode == PreferencesMode::Legacy && before != PreferencesMode::Legacy {
            return Err(Problem::new(Kind::Conflict, "the mode cannot go back to LEGACY"));
        }
        if let (PreferencesMode::Legacy, Some(blocked)) = (before, &self.blocked) {
            citizen.preferences.clone_from(blocked);
        }
        if mode != before {
            citizen.mode = mode;
            citizen.settings_version += 1;
            // What was blocked in LEGACY stays blocked, as IO carries it over.
            if before != PreferencesMode::Legacy {
                citizen.preferences.clear();
            }
        }
        Ok(citizen)
    }
}

fn set<T>(place: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *place = given;
    }
}

#[cfg(test)]
mod tests;
