//! Every limit of `NewMessage`, each with the field it names.

use std::sync::Arc;

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{OrganizationId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::FeatureLevel;
use araldo_actors::domain::service::{Organization, Service, ServiceCategory};
use axum::response::IntoResponse;
use proptest::prelude::{Strategy, any, proptest};
use serde_json::{Value, json};

use super::{Checked, NewMessage};
use crate::http::body;
use crate::http::problem::Problem;
use crate::http::sender::permission;

const CODE: &str = "RSSMRA85T10A562S";

fn service(groups: &[&str]) -> Arc<Service> {
    let id = OrganizationId::parse("00000000001").expect("a code");
    Arc::new(Service {
        id: ServiceId::parse("svc").expect("an id"),
        name: "Anagrafe".to_owned(),
        department: String::new(),
        organization: Organization { id, name: "Comune".to_owned() },
        category: ServiceCategory::Standard,
        require_secure_channels: false,
        max_payment_cents: 1000,
        lane: Lane::Normal,
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        authorized_cidrs: Vec::new(),
        authorized_recipients: Vec::new(),
        enabled: true,
    })
}

fn valid() -> Value {
    json!({"content": {"subject": "A valid subject", "markdown": "m".repeat(80)}})
}

/// `valid` with `value` at `pointer`, whose parents are made as needed.
fn with(pointer: &str, value: Value) -> Value {
    let mut message = valid();
    let mut place = &mut message;
    for part in pointer.split('.') {
        place = &mut place[part];
    }
    *place = value;
    message
}

fn check(message: &Value, groups: &[&str], in_path: bool) -> Result<Checked, Problem> {
    let code = in_path.then(|| FiscalCode::parse(CODE).expect("a code"));
    let body = serde_json::to_vec(message).expect("JSON");
    body::json::<NewMessage>(&body)?.check(&service(groups), code)
}

/// Status of the refusal and the fields it names.
fn refusal(message: &Value, groups: &[&str], in_path: bool) -> (u16, Vec<String>) {
    let problem = check(message, groups, in_path).expect_err("this message is refused");
    let shown = format!("{problem:?}");
    let fields = shown.split("field: \"").skip(1).filter_map(|rest| rest.split('"').next());
    let fields = fields.map(str::to_owned).collect();
    (problem.into_response().status().as_u16(), fields)
}

const WRITE: &[&str] = &[permission::MESSAGE_WRITE];

#[test]
fn the_shortest_message_takes_the_contracts_defaults() {
    let checked = check(&valid(), WRITE, true).expect("valid");
    assert_eq!(checked.time_to_live, 3600);
    assert_eq!(checked.feature_level, FeatureLevel::Standard);
    assert_eq!(checked.recipient.as_str(), CODE);
    assert_eq!(checked.content.extra, None);
}

#[test]
fn fields_the_contract_does_not_name_are_dropped() {
    let mut message = with("content.unheard_of", json!(1));
    message["unheard_of"] = json!({"a": [1]});
    assert!(check(&message, WRITE, true).is_ok());
}

#[test]
fn the_fiscal_code_is_in_the_path_or_in_the_body() {
    let message = with("fiscal_code", json!(CODE));
    assert!(check(&message, WRITE, false).is_ok());
    let named = (400, vec!["fiscal_code".to_owned()]);
    assert_eq!(refusal(&message, WRITE, true), named);
    assert_eq!(refusal(&valid(), WRITE, false), named);
    assert_eq!(refusal(&with("fiscal_code", json!("rssmra85t10a562s")), WRITE, false), named);
}

#[test]
fn each_limit_of_the_contract_is_held_and_its_field_named() {
    let payment = |amount: Value, notice: &str| json!({"amount": amount, "notice_number": notice});
    let notice = "012345678901234567";
    for (field, wrong) in [
        ("content.subject", json!("x".repeat(9))),
        ("content.subject", json!("x".repeat(121))),
        ("content.subject", json!(5)),
        ("content.markdown", json!("x".repeat(79))),
        ("content.markdown", json!("x".repeat(10_001))),
        ("content.due_date", json!("2018-10-13T00:00:00+02:00")),
        ("content.due_date", json!(1_539_388_800)),
        ("content.require_secure_channels", json!("yes")),
        ("time_to_live", json!(3599)),
        ("time_to_live", json!(604_801)),
        ("time_to_live", json!(-1)),
        ("time_to_live", json!("3600")),
        ("time_to_live", json!(3600.5)),
        ("feature_level_type", json!("PREMIUM")),
        ("default_addresses.email", json!("nobody")),
    ] {
        let (status, fields) = refusal(&with(field, wrong.clone()), WRITE, true);
        assert_eq!((status, fields), (400, vec![field.to_owned()]), "{wrong}");
    }
    for (field, wrong) in [
        ("content.payment_data.amount", payment(json!(0), notice)),
        ("content.payment_data.amount", payment(json!(1001), notice)),
        ("content.payment_data.amount", payment(json!(10_000_000_000_u64), notice)),
        ("content.payment_data.notice_number", payment(json!(1), "412345678901234567")),
        ("content.payment_data.notice_number", payment(json!(1), "01234567890123456")),
        ("content.payment_data.notice_number", json!({"amount": 1})),
    ] {
        let message = with("content.payment_data", wrong.clone());
        assert_eq!(refusal(&message, WRITE, true), (400, vec![field.to_owned()]), "{wrong}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let missing = |message: Value| refusal(&message, WRITE, true);
    assert_eq!(missing(json!({})), (400, vec!["content".to_owned()]));
    let message = json!({"content": {"markdown": "m".repeat(80)}});
    assert_eq!(missing(message), (400, vec!["content.subject".to_owned()]));
    assert_eq!(missing(json!([])).0, 400);
    assert_eq!(missing(json!(null)).0, 400);
}

#[test]
fn all_refused_fields_are_reported_at_once() {
    let message = json!({
        "content": {"subject": "x", "markdown": "x", "due_date": "x"}, "time_to_live": 1
    });
    let (status, fields) = refusal(&message, WRITE, true);
    assert_eq!(status, 400);
    assert_eq!(fields.len(), 4, "{fields:?}");
}

#[test]
fn no_refusal_repeats_what_was_sent() {
    let message = json!({
        "fiscal_code": "RSSMRA85T10A56",
        "content": {"subject": "RSSMRA85", "markdown": "RSSMRA85T10A562S"},
        "feature_level_type": "STANDARD"
    });
    let problem = check(&message, WRITE, false).expect_err("refused");
    assert!(!format!("{problem:?}").contains("RSSMRA"));
    for wrong in [with("feature_level_type", json!(CODE)), with("time_to_live", json!(CODE))] {
        let problem = check(&wrong, WRITE, true).expect_err("refused");
        assert!(!format!("{problem:?}").contains("RSSMRA"));
    }
}

#[test]
fn features_need_their_permission() {
    let payee = json!({
        "amount": 1, "notice_number": "012345678901234567", "payee": {"fiscal_code": "12345678901"}
    });
    let third_party = json!({"id": "x", "configuration_id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"});
    for (pointer, value, group) in [
        ("feature_level_type", json!("ADVANCED"), permission::WRITE_ADVANCED),
        ("content.payment_data", payee, permission::PAYEE),
        ("content.third_party_data", third_party, permission::THIRD_PARTY),
        ("default_addresses", json!({"email": "a@b.it"}), permission::DEFAULT_ADDRESS),
    ] {
        let message = with(pointer, value);
        assert_eq!(refusal(&message, WRITE, true).0, 403, "{pointer}");
        assert!(check(&message, &[permission::MESSAGE_WRITE, group], true).is_ok(), "{pointer}");
    }
}

#[test]
fn a_covid_certificate_is_sent_with_the_code_in_the_body_only() {
    let groups = &[permission::MESSAGE_WRITE, permission::EU_COVID_CERT];
    let mut message = with("content.eu_covid_cert", json!({"auth_code": "abc"}));
    assert_eq!(refusal(&message, groups, true).0, 403);
    message["fiscal_code"] = json!(CODE);
    let checked = check(&message, groups, false).expect("valid");
    assert_eq!(
        checked.content.extra.as_deref(),
        Some("{\"eu_covid_cert\":{\"auth_code\":\"abc\"}}")
    );
}

#[test]
fn attachments_need_an_advanced_message() {
    let groups = &[permission::MESSAGE_WRITE, permission::THIRD_PARTY, permission::WRITE_ADVANCED];
    let id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
    let data = json!({"id": "x", "has_attachments": true, "configuration_id": id});
    let mut message = with("content.third_party_data", data);
    assert_eq!(refusal(&message, groups, true).0, 403);
    message["feature_level_type"] = json!("ADVANCED");
    assert!(check(&message, groups, true).is_ok());
    message["content"]["third_party_data"] = json!({"id": "x"});
    assert_eq!(refusal(&message, groups, true).0, 403);
}

#[test]
fn a_limited_service_writes_to_its_recipients_only() {
    let limited = &[permission::LIMITED_MESSAGE_WRITE];
    assert_eq!(refusal(&valid(), limited, true).0, 403);
    let code = FiscalCode::parse(CODE).expect("a code");
    let mut service = service(limited).as_ref().clone();
    service.authorized_recipients.push(code);
    let body = serde_json::to_vec(&valid()).expect("JSON");
    let message = body::json::<NewMessage>(&body).expect("parsed");
    assert!(message.check(&service, Some(code)).is_ok());
}

proptest! {
    /// Any text in the two fields is taken if and only if its length in
    /// characters is within the limits, and is kept as it is.
    #[test]
    fn text_is_taken_by_its_length_and_kept(subject in any::<String>(), fill in 0_usize..100) {
        let markdown = "è".repeat(fill);
        let message = json!({"content": {"subject": subject, "markdown": markdown}});
        let fits = (10..=120).contains(&subject.chars().count()) && fill >= 80;
        let checked = check(&message, WRITE, true);
        assert_eq!(checked.is_ok(), fits);
        if let Ok(checked) = checked {
            assert_eq!(checked.content.subject, subject);
            assert_eq!(checked.content.markdown, markdown);
        }
    }

    /// Whatever bytes come, the answer is a refusal or a message, no panic.
    #[test]
    fn any_bytes_are_refused_or_read(bytes in any::<Vec<u8>>().prop_map(|mut bytes| {
        bytes.insert(0, b'{');
        bytes
    })) {
        let _ = body::json::<NewMessage>(&bytes).map(|message| message.check(&service(WRITE), None));
    }
}
