//! What an import line may hold, and what is said of one that may not.

use araldo_actors::domain::citizen::{Citizen, Language, Platform, QuietHours};
use araldo_actors::domain::preference::{PreferencesMode, PushContent};
use araldo_actors::domain::time::Millis;

use super::read;

const NOW: Millis = Millis(1_700_000_000_000);

fn citizen(line: &str) -> Citizen {
    read(line.as_bytes(), NOW).map(|read| read.citizen).expect("a valid line")
}

fn refusal(fields: &str) -> String {
    let line = format!("{{\"fiscal_code\":\"RSSMRA85T10A562S\"{fields}}}");
    match read(line.as_bytes(), NOW) {
        Ok(_) => panic!("taken: {fields}"),
        Err(reason) => reason,
    }
}

#[test]
fn a_line_with_only_the_code_is_a_fresh_profile() {
    let read = citizen(r#"{"fiscal_code":"RSSMRA85T10A562S"}"#);
    let fresh = Citizen::new(read.fiscal_code);
    assert!(read == fresh);
}

#[test]
fn a_list_in_the_place_of_an_object_is_refused_with_its_field() {
    for (fields, field) in [
        (r#","places":[[45.46,9.19]]"#, "places[0]"),
        (r#","quiet_hours":["22:00","07:30"]"#, "quiet_hours"),
        (r#","devices":[["apns","aa"]]"#, "devices[0]"),
        (r#","preferences":{"svc":[true,false,true]}"#, "preferences.svc"),
    ] {
        assert_eq!(refusal(fields), format!("{field} must be an object"));
    }
}

#[test]
fn every_field_is_taken() {
    let citizen = citizen(
        r#"{"fiscal_code":"RSSMRA85T10A562S","email":"mario@example.it","email_validated":true,
        "languages":["it_IT","de_DE","it_IT"],"municipality":"015146",
        "places":[{"lat":45.46,"lon":9.19}],"birth_year":1985,"timezone":"Europe/Rome",
        "quiet_hours":{"from":"22:00","to":"07:30"},
        "devices":[{"platform":"apns","token":"aa"},{"platform":"fcm","token":"aa"}],
        "is_inbox_enabled":true,"is_email_enabled":false,"is_push_enabled":false,
        "push_notifications_content_type":"FULL","preferences_mode":"MANUAL",
        "preferences":{"svc":{"inbox":true,"email":false,"push":true}},
        "activations":{"special":"PENDING"}}"#,
    );
    assert_eq!(citizen.languages, [Language::Italian, Language::German]);
    assert_eq!(citizen.quiet_hours, Some(QuietHours { from: 1320, to: 450 }));
    assert_eq!(citizen.devices.len(), 2);
    assert_eq!(citizen.devices[0].platform, Platform::Apns);
    assert_eq!(citizen.devices[0].registered_at, NOW);
    assert!(citizen.inbox_enabled && !citizen.email_enabled && !citizen.push_enabled);
    assert_eq!(citizen.push_content, PushContent::Full);
    assert_eq!(citizen.mode, PreferencesMode::Manual);
    let preference = citizen.preferences.values().next().expect("a preference");
    assert!(preference.inbox && !preference.email && preference.push);
    assert_eq!(citizen.activations.len(), 1);
}

#[test]
fn a_wrong_check_character_only_warns() {
    let warning = |code: &str| {
        let line = format!("{{\"fiscal_code\":\"{code}\"}}");
        read(line.as_bytes(), NOW).expect("a valid line").warning.is_some()
    };
    assert!(!warning("RSSMRA85T10A562S"));
    assert!(warning("RSSMRA85T10A562T"));
    assert!(warning("AAAAAA00A00A000A"));
}

#[test]
fn what_is_wrong_is_named_and_not_repeated() {
    for (fields, expected) in [
        (r#","email":"mario.rossi"#, "the line is not complete JSON"),
        (r#","email":"mario.rossi""#, "email must be an e-mail address"),
        (
            r#","emial":"x""#,
            "the line has a field \"emial\" that is not known (did you mean \"email\"?)",
        ),
        (r#","email_validated":"yes""#, "email_validated must be true or false"),
        (r#","languages":["xx_XX"]"#, "languages[0] must be one of \"it_IT\""),
        (r#","municipality":"15146""#, "municipality must be an ISTAT code"),
        (r#","places":[{"lat":91,"lon":0}]"#, "places[0] must have lat"),
        (r#","birth_year":85"#, "birth_year must be 1880 to 2200"),
        (r#","timezone":"Europe/Nowhere!""#, "timezone must be an IANA time zone"),
        (r#","quiet_hours":{"from":"24:00","to":"07:00"}"#, "quiet_hours must have from and to"),
        (r#","quiet_hours":{"from":"07:00","to":"07:00"}"#, "quiet_hours must not begin"),
        (r#","devices":[{"platform":"apns","token":""}]"#, "devices[0].token must be 1 to 4096"),
        (r#","devices":[{"platform":"hms","token":"a"}]"#, "devices[0].platform must be"),
        (
            r#","devices":[{"platform":"fcm","token":"a"},{"platform":"fcm","token":"a"}]"#,
            "devices[1] is given twice",
        ),
        (r#","preferences_mode":"LEGACY""#, "preferences_mode must be \"AUTO\" or \"MANUAL\""),
        (
            r#","preferences":{"a b":{"inbox":true,"email":true,"push":true}}"#,
            "preferences has a name",
        ),
        (r#","preferences":{"svc":{"inbox":true}}"#, "preferences.svc.email is missing"),
    ] {
        let reason = refusal(fields);
        assert!(reason.starts_with(expected), "{reason} for {fields}");
        assert!(!reason.contains("mario") && !reason.contains("RSSMRA"), "{reason}");
    }
}

#[test]
fn lists_have_limits() {
    let devices: Vec<_> =
        (0..21).map(|n| format!("{{\"platform\":\"fcm\",\"token\":\"t{n}\"}}")).collect();
    assert_eq!(
        refusal(&format!(",\"devices\":[{}]", devices.join(","))),
        "devices must be at most 20"
    );
    let places = vec!["{\"lat\":1,\"lon\":1}"; 21].join(",");
    assert_eq!(refusal(&format!(",\"places\":[{places}]")), "places must be at most 20");
}

#[test]
fn all_faults_of_a_line_are_reported_at_once() {
    let line = r#"{"fiscal_code":"X","email":"x","municipality":"x"}"#;
    let Err(reason) = read(line.as_bytes(), NOW) else { panic!("taken") };
    assert_eq!(reason.matches("; ").count(), 2, "{reason}");
}
