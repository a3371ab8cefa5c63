//! The catalogue and the matrix of preferences.

use std::time::Duration;

use serde_json::{Value, json};

use crate::http_citizen_kit::{House, LUCA, ROSA, token};

fn names(page: &Value, list: &str, name: &str) -> Vec<String> {
    let items = page[list].as_array().unwrap();
    items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

async fn house() -> (House, String) {
    let house = House::start().await;
    let torino = json!("00000000002");
    for (id, more) in [
        ("tributi", json!({"name": "Tributi", "department_name": "Ragioneria"})),
        ("mensa", json!({"name": "Mensa", "organization_fiscal_code": torino.clone()})),
        ("spento", json!({"name": "Spento", "enabled": false})),
        ("sociale", json!({"name": "Àiuto sociale", "category": "SPECIAL"})),
    ] {
        house.service(id, more).await;
    }
    (house, token(ROSA))
}

#[tokio::test]
async fn institutions_are_found_without_case_and_accents() {
    let (house, rosa) = house().await;
    let find = async |query: &str| {
        house.get(&rosa, &format!("/api/v2/institutions{query}")).await.expect(200).json()
    };
    let all = find("").await;
    let sorted = ["Città Metropolitana di Torino", "Comune di Forlì"];
    assert_eq!(names(&all, "institutions", "name"), sorted);
    assert_eq!((&all["count"], &all["limit"], &all["offset"]), (&json!(2), &json!(20), &json!(0)));
    assert_eq!(all["institutions"][1]["fiscal_code"], "00000000001");
    let citta = find("?search=CITTA%20torino").await;
    assert_eq!(names(&citta, "institutions", "id"), ["00000000002"]);
    let second = find("?limit=1&offset=1").await;
    assert_eq!(
        (names(&second, "institutions", "id"), &second["count"]),
        (vec!["00000000001".to_owned()], &json!(2))
    );
    assert_eq!(find("?scope=NATIONAL").await["count"], 0);
    assert_eq!(find("?scope=LOCAL&search=forli").await["count"], 1);
    for wrong in ["?limit=0", "?limit=101", "?offset=100001", "?scope=WORLD", "?limit=x"] {
        house.get(&rosa, &format!("/api/v2/institutions{wrong}")).await.expect(400);
    }
    house.get("", "/api/v2/institutions").await.expect(401);
    house.stop().await;
}

#[tokio::test]
async fn services_are_listed_by_institution_and_shown_one_by_one() {
    let (house, rosa) = house().await;
    let get = async |path: &str| house.get(&rosa, &format!("/api/v2{path}")).await;
    let forli = get("/institutions/00000000001/services").await.expect(200).json();
    assert_eq!(names(&forli, "services", "name"), ["Àiuto sociale", "Anagrafe", "Tributi"]);
    assert_eq!(forli["count"], 3);
    let none = get("/institutions/99999999999/services").await.expect(200).json();
    assert_eq!(none["count"], 0);
    let one = get("/services/tributi").await.expect(200).json();
    assert_eq!(one["description"], "Ragioneria");
    assert_eq!(one["organization"]["name"], "Comune di Forlì");
    assert_eq!(one["metadata"], json!({"scope": "LOCAL", "category": "STANDARD"}));
    get("/services/spento").await.expect(404);
    get("/services/assente").await.expect(404);
    assert_eq!(get("/services/featured").await.expect(200).json(), json!({"services": []}));
    let featured = get("/institutions/featured").await.expect(200).json();
    assert_eq!(featured, json!({"institutions": []}));
    // A service that is new shows within about a second.
    house.service("nuovo", json!({"name": "Nuovo"})).await;
    for tries in 0.. {
        if get("/institutions/00000000001/services").await.json()["count"] == 4 {
            break;
        }
        assert!(tries < 30, "the new service does not show");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.stop().await;
}

#[tokio::test]
async fn the_matrix_shows_every_service_with_what_holds_for_it() {
    let (house, rosa) = house().await;
    let path = "/api/citizen/v1/preferences";
    house.get(&token(LUCA), path).await.expect(404);
    let tributi = json!({"tributi": {"inbox": true, "email": false, "push": true}});
    house.citizen(ROSA, json!({"preferences": tributi})).await;
    let first = house.get(&rosa, &format!("{path}?limit=3")).await.expect(200).json();
    assert_eq!((&first["mode"], &first["settings_version"]), (&json!("AUTO"), &json!(0)));
    assert_eq!(names(&first, "items", "service_id"), ["mensa", "sociale", "anagrafe"]);
    assert_eq!(first["items"][1]["is_inbox_enabled"], false, "SPECIAL and not activated");
    let next = first["next"].as_str().unwrap();
    let last = house.get(&rosa, &format!("{path}?limit=3&after={next}")).await.expect(200).json();
    assert_eq!(names(&last, "items", "service_id"), ["tributi"]);
    assert_eq!(last["items"][0]["is_email_enabled"], false);
    assert!(last.get("next").is_none());
    let found = house.get(&rosa, &format!("{path}?search=torino")).await.expect(200).json();
    assert_eq!(names(&found, "items", "service_id"), ["mensa"]);
    for wrong in ["limit=0", "limit=201", "after=assente"] {
        house.get(&rosa, &format!("{path}?{wrong}")).await.expect(400);
    }
    house.stop().await;
}
