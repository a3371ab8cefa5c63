//! The profile, the switches and the devices of a citizen.

use serde_json::{Value, json};

use crate::http_citizen_kit::{House, LUCA, ROSA, token};

const PROFILE: &str = "/api/identity/v1/profile";
const TAKEN: &str = "https://ioapp.it/problems/email-already-taken";

/// The link in the last mail, without the server's address.
fn last_link(house: &House) -> String {
    let mails = house.mails.lock().unwrap();
    let (_, _, link) = mails.last().expect("a mail");
    link.strip_prefix(&format!("http://{}", house.base)).unwrap().to_owned()
}

#[tokio::test]
async fn a_citizen_without_a_profile_reads_initial_values_and_makes_one() {
    let house = House::start().await;
    let rosa = token(ROSA);
    let initial = house.get(&rosa, PROFILE).await.expect(200).json();
    for (field, value) in [
        ("has_profile", json!(false)),
        ("is_inbox_enabled", json!(false)),
        ("is_webhook_enabled", json!(false)),
        ("is_email_enabled", json!(true)),
        ("service_preferences_settings", json!({"mode": "LEGACY"})),
        ("version", json!(0)),
        ("name", json!("Rosa")),
        ("family_name", json!("Rossi")),
        ("date_of_birth", json!("1985-12-10")),
        ("fiscal_code", json!(ROSA)),
    ] {
        assert_eq!(initial[field], value, "{field}");
    }
    house.post(&rosa, PROFILE, json!({"version": 3})).await.expect(404);
    let body = json!({"version": 0, "accepted_tos_version": 1,
        "service_preferences_settings": {"mode": "AUTO"}});
    let made = house.post(&rosa, PROFILE, body).await.expect(200).json();
    assert_eq!(made["has_profile"], true);
    assert_eq!(
        (&made["is_inbox_enabled"], &made["is_webhook_enabled"]),
        (&json!(true), &json!(true))
    );
    assert_eq!((&made["version"], &made["accepted_tos_version"]), (&json!(1), &json!(1)));
    assert_eq!(house.get(&rosa, PROFILE).await.json(), made);
    house.stop().await;
}

#[tokio::test]
async fn of_two_who_saw_the_same_version_one_is_told_to_read_again() {
    let house = House::start().await;
    house.citizen(ROSA, json!({})).await;
    let rosa = token(ROSA);
    let version = house.get(&rosa, PROFILE).await.json()["version"].clone();
    let change = |on: bool| json!({"version": version, "is_email_enabled": on});
    let (one, two) = tokio::join!(
        house.post(&rosa, PROFILE, change(true)),
        house.post(&rosa, PROFILE, change(false))
    );
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    let legacy = json!({"version": version.as_u64().unwrap() + 1,
        "service_preferences_settings": {"mode": "LEGACY"}});
    house.post(&rosa, PROFILE, legacy).await.expect(409);
    for wrong in [json!({}), json!([]), json!({"version": -1}), json!({"version": 1, "email": "x"})]
    {
        house.post(&rosa, PROFILE, wrong).await.expect(400);
    }
    house.stop().await;
}

#[tokio::test]
async fn an_address_is_validated_by_its_link_and_then_nobody_elses() {
    let house = House::start().await;
    house.citizen(ROSA, json!({})).await;
    house.citizen(LUCA, json!({})).await;
    let (rosa, luca) = (token(ROSA), token(LUCA));
    let version = |profile: &Value| profile["version"].clone();
    let before = house.get(&rosa, PROFILE).await.json();
    let email = |email: &str, version: Value| json!({"email": email, "version": version});
    let changed = house.post(&rosa, PROFILE, email("rosa@example.it", version(&before))).await;
    let changed = changed.expect(200).json();
    assert_eq!(changed["is_email_validated"], false);
    assert_eq!(house.mails.lock().unwrap()[0].0, "rosa@example.it");
    let link = last_link(&house);
    // Luca takes the same address before it is confirmed.
    let first = version(&house.get(&luca, PROFILE).await.json());
    house.post(&luca, PROFILE, email("Rosa@Example.it", first)).await.expect(200);
    let lucas_link = last_link(&house);
    let asking = house.call(hyper::Method::GET, &link, &[], "").await.expect(200);
    assert!(asking.text().contains("<form method=\"post\">"));
    assert_eq!(house.get(&rosa, PROFILE).await.json()["is_email_validated"], false);
    house.call(hyper::Method::POST, &link, &[], "confirm=yes").await.expect(200);
    assert_eq!(house.get(&rosa, PROFILE).await.json()["is_email_validated"], true);
    let taken = house.get(&luca, PROFILE).await.json();
    assert_eq!(taken["is_email_already_taken"], true);
    house.call(hyper::Method::POST, &lucas_link, &[], "confirm=yes").await.expect(409);
    let again = "/api/identity/v1/email-validation-process";
    house.post(&luca, again, json!({})).await.expect(409);
    let other = house.post(&luca, PROFILE, email("luca@example.it", version(&taken))).await;
    let other = other.expect(200).json();
    let refused = house.post(&luca, PROFILE, email("rosa@example.it", version(&other))).await;
    assert_eq!(refused.expect(412).json()["type"], TAKEN);
    house.post(&luca, again, json!({})).await.expect(202);
    house.call(hyper::Method::POST, &last_link(&house), &[], "").await.expect(200);
    assert_eq!(house.get(&luca, PROFILE).await.json()["is_email_validated"], true);
    house.stop().await;
}

#[tokio::test]
async fn mails_that_validate_are_limited_and_need_an_address() {
    let house = House::start().await;
    let (rosa, luca) = (token(ROSA), token(LUCA));
    let path = "/api/identity/v1/email-validation-process";
    house.post(&rosa, path, json!({})).await.expect(404);
    house.citizen(ROSA, json!({})).await;
    house.post(&rosa, path, json!({})).await.expect(400);
    house.citizen(LUCA, json!({"email": "luca@example.it"})).await;
    for _ in 0..5 {
        house.post(&luca, path, json!({})).await.expect(202);
    }
    let refused = house.post(&luca, path, json!({})).await.expect(429);
    assert!(refused.header("retry-after").parse::<u64>().unwrap() > 10);
    assert_eq!(house.mails.lock().unwrap().len(), 5);
    house.stop().await;
}

#[tokio::test]
async fn the_switches_of_a_service_are_read_written_and_obeyed() {
    let house = House::start().await;
    house.citizen(ROSA, json!({})).await;
    let rosa = token(ROSA);
    let path = "/api/identity/v1/services/anagrafe/preferences";
    let all = json!({"is_inbox_enabled": true, "is_email_enabled": true, "is_webhook_enabled": true,
        "can_access_message_read_status": true, "settings_version": 0});
    assert_eq!(house.get(&rosa, path).await.expect(200).json(), all);
    let mut off = all.clone();
    off["is_inbox_enabled"] = json!(false);
    assert_eq!(house.post(&rosa, path, off.clone()).await.expect(200).json(), off);
    let id = house.send(ROSA, "Non deve arrivare mai").await;
    assert_eq!(house.sent(ROSA, &id).await["rejection_reason"], "SERVICE_NOT_ALLOWED");
    let mut stale = off.clone();
    stale["settings_version"] = json!(1);
    house.post(&rosa, path, stale).await.expect(409);
    let absent = "/api/identity/v1/services/assente/preferences";
    house.get(&rosa, absent).await.expect(404);
    house.post(&rosa, absent, all.clone()).await.expect(404);
    house.get(&token(LUCA), path).await.expect(404);
    // Another mode is another set of preferences.
    let version = house.get(&rosa, PROFILE).await.json()["version"].clone();
    let manual = json!({"version": version, "service_preferences_settings": {"mode": "MANUAL"}});
    house.post(&rosa, PROFILE, manual).await.expect(200);
    let none = json!({"is_inbox_enabled": false, "is_email_enabled": false,
        "is_webhook_enabled": false, "can_access_message_read_status": false,
        "settings_version": 1});
    assert_eq!(house.get(&rosa, path).await.expect(200).json(), none);
    house.post(&rosa, path, all).await.expect(409);
    house.stop().await;
}

#[tokio::test]
async fn in_legacy_there_are_blocked_channels_and_no_switches() {
    let house = House::start().await;
    let rosa = token(ROSA);
    let body = json!({"version": 0, "accepted_tos_version": 1,
        "blocked_inbox_or_channels": {"anagrafe": ["INBOX"]}});
    let made = house.post(&rosa, PROFILE, body).await.expect(200).json();
    assert_eq!(made["blocked_inbox_or_channels"], json!({"anagrafe": ["INBOX"]}));
    let path = "/api/identity/v1/services/anagrafe/preferences";
    house.get(&rosa, path).await.expect(409);
    let all = json!({"is_inbox_enabled": true, "is_email_enabled": true, "is_webhook_enabled": true,
        "settings_version": 0});
    house.post(&rosa, path, all).await.expect(409);
    let id = house.send(ROSA, "Non deve arrivare mai").await;
    assert_eq!(house.sent(ROSA, &id).await["status"], "REJECTED");
    house.stop().await;
}

#[tokio::test]
async fn a_citizen_has_several_devices_and_an_installation_one_token() {
    let house = House::start().await;
    let rosa = token(ROSA);
    let put = async |id: &str, platform: &str, token: &str| {
        let body = json!({"platform": platform, "pushChannel": token});
        house.put(&rosa, &format!("/api/communication/v1/installations/{id}"), body).await
    };
    put("phone", "apns", "t0").await.expect(404);
    house.citizen(ROSA, json!({})).await;
    assert_eq!(put("phone", "apns", "t1").await.expect(200).json(), json!({"message": "ok"}));
    put("tablet", "fcmv1", "t2").await.expect(200);
    put("phone", "gcm", "t3").await.expect(200);
    // The same token under another name is the same device.
    put("tablet-again", "gcm", "t2").await.expect(200);
    let listed = house.get(&rosa, "/api/citizen/v1/devices").await.expect(200).json();
    let devices = listed["items"].as_array().unwrap();
    let names: Vec<_> = devices.iter().map(|device| device["installation_id"].clone()).collect();
    assert_eq!(names, [json!("phone"), json!("tablet-again")]);
    assert!(devices.iter().all(|device| device["platform"] == "fcm"));
    assert!(!listed.to_string().contains("t3"), "tokens are not shown");
    let path = format!("/api/citizen/v1/devices/{}", devices[0]["id"].as_str().unwrap());
    house.delete(&rosa, &path).await.expect(204);
    house.delete(&rosa, &path).await.expect(404);
    for number in 0..19 {
        put(&format!("d{number}"), "apns", &format!("x{number}")).await.expect(200);
    }
    let full = put("one-more", "apns", "y").await.expect(409).json();
    assert_eq!(full["type"], "urn:araldo:problem:limit-reached");
    put("d0", "apns", "z").await.expect(200);
    put("p", "windows", "t").await.expect(400);
    put("p", "apns", "").await.expect(400);
    put(&"p".repeat(129), "apns", "t").await.expect(400);
    house.stop().await;
}
