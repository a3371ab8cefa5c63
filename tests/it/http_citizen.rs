//! The inbox of a citizen: pages both ways, messages, marks, search.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::http_citizen_kit::{House, LUCA, ROSA, token};

const MESSAGES: &str = "/api/communication/v1/messages";

fn ids(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

async fn house_with(count: usize) -> (House, String, Vec<String>) {
    let house = House::start().await;
    house.citizen(ROSA, json!({})).await;
    let mut sent = Vec::new();
    for number in 0..count {
        sent.push(house.send(ROSA, &format!("Messaggio numero {number}")).await);
    }
    (house, token(ROSA), sent)
}

#[tokio::test]
async fn pages_go_down_and_up_without_gaps_while_messages_arrive() {
    let (house, rosa, mut sent) = house_with(7).await;
    let mut seen = Vec::new();
    let first = house.get(&rosa, &format!("{MESSAGES}?page_size=3")).await.expect(200).json();
    let top = first["prev"].as_str().unwrap().to_owned();
    let mut page = first;
    loop {
        seen.extend(ids(&page));
        sent.push(house.send(ROSA, "Arrivato nel frattempo").await);
        let Some(next) = page["next"].as_str() else { break };
        let path = format!("{MESSAGES}?page_size=3&maximum_id={next}");
        page = house.get(&rosa, &path).await.expect(200).json();
    }
    let older: Vec<_> = sent[..7].iter().rev().cloned().collect();
    assert_eq!(seen, older, "down: the newest first, none twice, none missing");
    let (mut from, mut newer) = (top, Vec::new());
    loop {
        let path = format!("{MESSAGES}?page_size=2&minimum_id={from}");
        let page = house.get(&rosa, &path).await.expect(200).json();
        let mut found = ids(&page);
        let Some(prev) = page["prev"].as_str() else { break };
        from = prev.to_owned();
        assert_eq!(page["next"].as_str(), found.last().map(String::as_str));
        found.reverse();
        newer.extend(found);
    }
    assert_eq!(newer, sent[7..], "up: the nearest first");
    house.stop().await;
}

#[tokio::test]
async fn a_list_item_has_what_the_contract_asks_enriched_or_not() {
    let (house, rosa, _) = house_with(0).await;
    let content = json!({
        "markdown": "La rata della mensa si paga entro la scadenza. ".repeat(3),
        "due_date": "2030-01-02T03:04:05.000Z",
        "payment_data": {"amount": 5000, "notice_number": "012345678901234567"},
    });
    let id = house.send_with(ROSA, "Rata della mensa", json!({"content": content})).await;
    let plain = house.get(&rosa, MESSAGES).await.expect(200);
    assert_eq!(plain.header("cache-control"), "no-store");
    let plain = plain.json()["items"][0].clone();
    let fields: BTreeSet<_> = plain.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["created_at", "fiscal_code", "id", "sender_service_id", "time_to_live"];
    assert_eq!(fields, BTreeSet::from(expected));
    let path = format!("{MESSAGES}?enrich_result_data=true");
    let rich = house.get(&rosa, &path).await.expect(200).json()["items"][0].clone();
    assert_eq!(rich["id"], json!(id));
    assert_eq!(rich["message_title"], "Rata della mensa");
    assert_eq!(rich["service_name"], "Anagrafe");
    assert_eq!(rich["organization_name"], "Comune di Forlì");
    assert_eq!(rich["organization_fiscal_code"], "00000000001");
    let category = json!({"tag": "PAYMENT", "rptId": "00000000001012345678901234567"});
    assert_eq!(rich["category"], category);
    for off in ["is_read", "is_archived", "has_attachments", "has_precondition"] {
        assert_eq!(rich[off], json!(false), "{off}");
    }
    let read = house.get(&rosa, &format!("{MESSAGES}/{id}")).await.expect(200).json();
    assert_eq!(read["content"]["due_date"], "2030-01-02T03:04:05.000Z");
    let payee = &read["content"]["payment_data"]["payee"]["fiscal_code"];
    assert_eq!(payee, "00000000001");
    assert!(read.get("category").is_none());
    let path = format!("{MESSAGES}/{id}?public_message=true");
    let public = house.get(&rosa, &path).await.expect(200).json();
    assert_eq!(public["category"], category);
    assert_eq!(public["content"], read["content"]);
    house.stop().await;
}

#[tokio::test]
async fn marks_change_as_asked_and_what_was_read_stays_read() {
    let (house, rosa, sent) = house_with(2).await;
    let path = format!("{MESSAGES}/{}/status", sent[0]);
    let read = house.put(&rosa, &path, json!({"change_type": "reading", "is_read": true})).await;
    assert_eq!(read.expect(200).json(), json!({"is_read": true, "is_archived": false}));
    let older = format!("{MESSAGES}/{}/message-status", sent[0]);
    let archive = json!({"change_type": "archiving", "is_archived": true});
    let archived = house.put(&rosa, &older, archive).await.expect(200).json();
    assert_eq!(archived, json!({"is_read": true, "is_archived": true}));
    let listed = async |archived: bool| {
        let path = format!("{MESSAGES}?archived={archived}");
        ids(&house.get(&rosa, &path).await.expect(200).json())
    };
    assert_eq!(listed(true).await, [sent[0].clone()]);
    assert_eq!(listed(false).await, [sent[1].clone()]);
    let bulk = json!({"change_type": "bulk", "is_archived": false});
    let back = house.put(&rosa, &path, bulk).await.expect(200).json();
    assert_eq!(back, json!({"is_read": true, "is_archived": false}));
    for wrong in [
        json!({"change_type": "reading", "is_read": false}),
        json!({"change_type": "reading"}),
        json!({"change_type": "archiving"}),
        json!({"change_type": "bulk", "is_read": true}),
        json!({"change_type": "burning", "is_read": true}),
    ] {
        house.put(&rosa, &path, wrong).await.expect(400);
    }
    house.stop().await;
}

#[tokio::test]
async fn nobody_reads_or_marks_what_is_anothers() {
    let (house, rosa, sent) = house_with(1).await;
    let luca = token(LUCA);
    let id = &sent[0];
    house.get(&luca, &format!("{MESSAGES}/{id}")).await.expect(404);
    let read = json!({"change_type": "reading", "is_read": true});
    house.put(&luca, &format!("{MESSAGES}/{id}/status"), read).await.expect(404);
    assert_eq!(ids(&house.get(&luca, MESSAGES).await.expect(200).json()), Vec::<String>::new());
    house.get(&luca, &format!("{MESSAGES}?maximum_id={id}")).await.expect(400);
    for wrong in ["page_size=0", "page_size=101", "page_size=x", "maximum_id=1", "archived=maybe"] {
        house.get(&rosa, &format!("{MESSAGES}?{wrong}")).await.expect(400);
    }
    house.get(&rosa, &format!("{MESSAGES}/01BX9NSMKVXXS5PSP2FATZMYYY")).await.expect(404);
    house.get(&rosa, &format!("{MESSAGES}/nonsense")).await.expect(404);
    house.stop().await;
}

#[tokio::test]
async fn a_sender_learns_that_an_advanced_message_was_read_unless_the_citizen_says_no() {
    let (house, rosa, _) = house_with(0).await;
    let id = house
        .send_with(ROSA, "Messaggio avanzato", json!({"feature_level_type": "ADVANCED"}))
        .await;
    let standard = house.send(ROSA, "Messaggio normale").await;
    assert_eq!(house.sent(ROSA, &id).await["read_status"], "UNREAD");
    assert!(house.sent(ROSA, &standard).await.get("read_status").is_none());
    let read = json!({"change_type": "reading", "is_read": true});
    house.put(&rosa, &format!("{MESSAGES}/{id}/status"), read).await.expect(200);
    assert_eq!(house.sent(ROSA, &id).await["read_status"], "READ");
    let off = json!({"is_inbox_enabled": true, "is_email_enabled": true, "is_webhook_enabled": true,
        "can_access_message_read_status": false, "settings_version": 0});
    let path = "/api/identity/v1/services/anagrafe/preferences";
    house.post(&rosa, path, off).await.expect(200);
    assert_eq!(house.sent(ROSA, &id).await["read_status"], "UNAVAILABLE");
    house.stop().await;
}

#[tokio::test]
async fn search_finds_words_wherever_they_are_and_goes_on_where_it_stopped() {
    let (house, rosa, sent) = house_with(5).await;
    let tributi = house.service("tributi", json!({"name": "Tributi"})).await;
    let other = house.send_as(&tributi, ROSA, "Avviso di pagamento", json!({})).await;
    let search = async |query: &str| {
        let path = format!("/api/citizen/v1/messages?{query}");
        house.get(&rosa, &path).await.expect(200).json()
    };
    let found = search("q=FORLI%20tributi").await;
    assert_eq!((ids(&found), &found["complete"]), (vec![other], &json!(true)));
    let found = search("q=messaggio%20identita&limit=2").await;
    let newest: Vec<_> = sent.iter().rev().cloned().collect();
    assert_eq!((ids(&found), &found["complete"]), (newest[..2].to_vec(), &json!(false)));
    let next = found["next"].as_str().unwrap().to_owned();
    let rest = search(&format!("q=messaggio&before={next}")).await;
    assert_eq!((ids(&rest), &rest["complete"]), (newest[2..].to_vec(), &json!(true)));
    assert!(rest.get("next").is_none());
    assert_eq!(ids(&search("q=inesistente").await), Vec::<String>::new());
    let long = format!("q={}", "a".repeat(101));
    for wrong in ["", "q=", "q=%20", "q=a&limit=0", "q=a&before=x", &long] {
        house.get(&rosa, &format!("/api/citizen/v1/messages?{wrong}")).await.expect(400);
    }
    house.stop().await;
}

#[tokio::test]
async fn a_query_that_is_refused_names_its_argument() {
    let (house, rosa, _) = house_with(0).await;
    for (path, argument) in [
        ("/api/citizen/v1/messages?q=carta&limit=many", "limit"),
        ("/api/citizen/v1/messages?q=carta&limit=-1", "limit"),
        ("/api/citizen/v1/messages", "q"),
        ("/api/citizen/v1/preferences?limit=999999999999999999999999", "limit"),
    ] {
        let refused = house.get(&rosa, path).await.expect(400).json();
        assert_eq!(refused["errors"][0]["field"], argument, "{path}: {refused}");
    }
    house.stop().await;
}

#[tokio::test]
async fn searches_have_a_rate_of_their_own() {
    let (house, rosa, _) = house_with(0).await;
    let mut refused = 0;
    for _ in 0..14 {
        let answer = house.get(&rosa, "/api/citizen/v1/messages?q=carta").await;
        refused += usize::from(answer.status == 429);
    }
    assert!(refused > 0, "no limit");
    house.get(&rosa, MESSAGES).await.expect(200);
    house.stop().await;
}
