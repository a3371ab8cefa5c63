//! The pages that links in mails lead to.

use std::time::Duration;

use araldo_actors::domain::id::{AddressId, ServiceId};
use hyper::Method;
use serde_json::json;

use crate::http_citizen_kit::{House, ROSA, code, now, token};

fn path(house: &House, link: &str) -> String {
    link.strip_prefix(&format!("http://{}", house.base)).unwrap().to_owned()
}

#[tokio::test]
async fn one_click_ends_the_mails_of_that_service_and_nothing_else() {
    let house = House::start().await;
    house.citizen(ROSA, json!({})).await;
    let link = house.links.unsubscribe(code(ROSA), &ServiceId::parse("anagrafe").unwrap());
    let link = path(&house, &link);
    let page = house.call(Method::GET, &link, &[("accept-language", "en")], "").await.expect(200);
    assert!(page.text().contains("<form method=\"post\">") && page.text().contains("Anagrafe"));
    assert!(page.text().contains("lang=\"en\""));
    for (header, part) in [
        ("content-security-policy", "default-src 'none'"),
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("content-type", "text/html"),
    ] {
        assert!(page.header(header).contains(part), "{header}");
    }
    assert!(!page.text().contains("http"), "nothing is loaded from anywhere");
    let rosa = token(ROSA);
    let preferences = "/api/identity/v1/services/anagrafe/preferences";
    let before = house.get(&rosa, preferences).await.expect(200).json();
    assert_eq!(before["is_email_enabled"], true, "asking changes nothing");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = "List-Unsubscribe=One-Click";
    let done = house.call(Method::POST, &link, &form, body).await.expect(200);
    assert!(done.headers.get("set-cookie").is_none() && done.headers.get("location").is_none());
    let after = house.get(&rosa, preferences).await.expect(200).json();
    assert_eq!(after["is_email_enabled"], false);
    for same in ["is_inbox_enabled", "is_webhook_enabled", "can_access_message_read_status"] {
        assert_eq!(after[same], before[same], "{same}");
    }
    // Again, and for somebody who is not registered any more: nothing to do.
    house.call(Method::POST, &link, &form, body).await.expect(200);
    house.stop().await;
}

#[tokio::test]
async fn a_link_that_was_changed_expired_or_overtaken_does_nothing() {
    let house = House::start().await;
    house.citizen(ROSA, json!({"email": "rosa@example.it"})).await;
    let address = AddressId::of("rosa@example.it");
    let later = now().after(Duration::from_secs(60));
    let good = path(&house, &house.links.validate(code(ROSA), address, later));
    let expired = path(&house, &house.links.validate(code(ROSA), address, now()));
    let other = AddressId::of("other@example.it");
    let other = path(&house, &house.links.validate(code(ROSA), other, later));
    let changed = match good.ends_with('A') {
        true => format!("{}E", &good[..good.len() - 1]),
        false => format!("{}A", &good[..good.len() - 1]),
    };
    for (link, get, post) in [
        (expired.as_str(), 410, 410),
        (&changed, 404, 404),
        ("/email/validate/nonsense", 404, 404),
        ("/email/unsubscribe/nonsense", 404, 404),
        (&good.replace("validate", "unsubscribe"), 404, 404),
        (&other, 200, 410),
    ] {
        let page = house.call(Method::GET, link, &[], "").await.expect(get);
        assert!(page.text().starts_with("<!doctype html><html lang=\"it\">"));
        house.call(Method::POST, link, &[], "").await.expect(post);
    }
    let profile = house.get(&token(ROSA), "/api/identity/v1/profile").await.json();
    assert_eq!(profile["is_email_validated"], false);
    let long = "x".repeat(20_000);
    house.call(Method::POST, &good, &[], long).await.expect(413);
    house.call(Method::POST, &good, &[], "").await.expect(200);
    house.stop().await;
}

#[tokio::test]
async fn links_that_are_followed_too_often_are_answered_with_a_page() {
    let house = House::start().await;
    house.citizen(ROSA, json!({})).await;
    let link = house.links.unsubscribe(code(ROSA), &ServiceId::parse("anagrafe").unwrap());
    let link = path(&house, &link);
    let mut last = None;
    for _ in 0..20 {
        let answer = house.call(Method::POST, &link, &[], "confirm=yes").await;
        if answer.status == 429 {
            last = Some(answer);
            break;
        }
        answer.expect(200);
    }
    let refused = last.expect("a limit");
    assert!(refused.header("content-type").starts_with("text/html"));
    assert!(!refused.header("retry-after").is_empty());
    let stored = house.running.engine.citizen(code(ROSA)).await.unwrap().unwrap();
    let long = house.call(Method::POST, &link, &[], "x".repeat(20_000)).await.expect(413);
    assert!(long.header("content-type").starts_with("text/html"));
    let after = house.running.engine.citizen(code(ROSA)).await.unwrap().unwrap();
    assert_eq!(stored.revision, after.revision);
    house.stop().await;
}
