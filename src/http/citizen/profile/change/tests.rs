//! What a change makes of a profile.

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::ServiceId;
use araldo_actors::domain::preference::{PreferencesMode, ServicePreference};
use serde_json::{Value, json};

use super::{Problem, ProfileChange};

fn fresh() -> Citizen {
    let code = FiscalCode::parse("AAAAAA00A00A000A").expect("a code");
    Citizen {
        inbox_enabled: false,
        push_enabled: false,
        mode: PreferencesMode::Legacy,
        ..Citizen::new(code)
    }
}

fn service() -> ServiceId {
    ServiceId::parse("mensa").expect("an id")
}

fn apply(present: Option<Citizen>, change: Value) -> Result<Citizen, Problem> {
    serde_json::from_value::<ProfileChange>(change).expect("JSON").check()?.apply(present, &fresh())
}

#[test]
fn the_first_acceptance_turns_inbox_and_push_on_and_a_later_one_does_not() {
    let made = apply(None, json!({"version": 0, "accepted_tos_version": 3})).expect("made");
    assert!(made.inbox_enabled && made.push_enabled);
    assert_eq!((made.version, made.accepted_tos_version), (1, Some(3)));
    let off = apply(Some(made), json!({"version": 1, "is_inbox_enabled": false})).expect("off");
    let later = apply(Some(off), json!({"version": 2, "accepted_tos_version": 4})).expect("later");
    assert!(!later.inbox_enabled);
}

#[test]
fn a_version_that_is_not_the_present_one_changes_nothing() {
    let made = apply(None, json!({"version": 0})).expect("made");
    assert!(apply(Some(made.clone()), json!({"version": 0})).is_err());
    assert!(apply(Some(made), json!({"version": 2})).is_err());
    assert!(apply(None, json!({"version": 1})).is_err());
}

#[test]
fn the_mode_goes_one_way_and_each_change_forgets_what_was_stored() {
    let mode = |mode: &str, version: u32| json!({"version": version, "service_preferences_settings": {"mode": mode}});
    let mut citizen = apply(None, mode("AUTO", 0)).expect("made");
    assert_eq!(citizen.settings_version, 1);
    assert!(apply(Some(citizen.clone()), mode("LEGACY", 1)).is_err());
    citizen
        .preferences
        .insert(service(), ServicePreference { push: false, ..ServicePreference::ALL });
    let same = apply(Some(citizen.clone()), mode("AUTO", 1)).expect("the same");
    assert_eq!((same.settings_version, same.preferences.len()), (1, 1));
    let manual = apply(Some(citizen), mode("MANUAL", 1)).expect("changed");
    assert_eq!((manual.settings_version, manual.preferences.len()), (2, 0));
}

#[test]
fn what_legacy_blocks_is_a_preference_and_outlives_legacy() {
    let blocked =
        json!({"version": 0, "blocked_inbox_or_channels": {"mensa": ["EMAIL", "WEBHOOK"]}});
    let legacy = apply(None, blocked).expect("made");
    let expected =
        ServicePreference { inbox: true, email: false, push: false, ..ServicePreference::ALL };
    assert_eq!(legacy.preferences.get(&service()), Some(&expected));
    let auto = json!({"version": 1, "service_preferences_settings": {"mode": "AUTO"}});
    let auto = apply(Some(legacy), auto).expect("changed");
    assert_eq!(auto.preferences.get(&service()), Some(&expected));
    let ignored = json!({"version": 2, "blocked_inbox_or_channels": {}});
    assert_eq!(apply(Some(auto), ignored).expect("changed").preferences.len(), 1);
}

#[test]
fn another_address_is_not_validated_and_the_same_in_other_letters_stays() {
    let mut citizen = fresh();
    citizen.email = Some("Mario@example.it".to_owned());
    citizen.email_validated = true;
    let same = json!({"version": 0, "email": "mario@EXAMPLE.it"});
    assert!(apply(Some(citizen.clone()), same).expect("changed").email_validated);
    let other = json!({"version": 0, "email": "maria@example.it"});
    assert!(!apply(Some(citizen), other).expect("changed").email_validated);
}

#[test]
fn what_does_not_have_its_form_is_refused() {
    for wrong in [
        json!({"version": 0, "email": "mario"}),
        json!({"version": 0, "accepted_tos_version": 0}),
        json!({"version": 0, "accepted_tos_version": 1.5}),
        json!({"version": 0, "last_app_version": "1.2"}),
        json!({"version": 0, "last_app_version": "1.02.3"}),
        json!({"version": 0, "blocked_inbox_or_channels": {"": []}}),
    ] {
        assert!(apply(None, wrong.clone()).is_err(), "{wrong}");
    }
    assert!(apply(None, json!({"version": 0, "last_app_version": "1.10.11.0"})).is_ok());
}
