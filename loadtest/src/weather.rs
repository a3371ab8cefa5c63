//! The weather alert of the demo: one text in three languages, to everyone.
//!
//! Owns the text and what should become of it, worked out citizen by citizen from the published rules alone, for the audit
//! to compare. The service is none of the catalogue's, so nobody has switches for it: each citizen's mode decides.

use serde_json::{Value, json};

use crate::alert_audit::recipient;
use crate::morning::{Expected, by_the_rules};
use crate::population::Population;

/// Identifier of the service that sends it.
pub const SERVICE: &str = "allerta-meteo";
/// Its name.
pub const NAME: &str = "Allerta meteo";

const ITALIAN: &str = "Dalle 14 di oggi sono attese piogge intense, temporali e vento forte in tutta Italia.\n\n\
    - Non usare l'auto se non è necessario\n- Resta lontano da fiumi, torrenti e sottopassi\n\
    - Sposta in alto ciò che hai in cantina\n\nPer le emergenze chiama il **112**.";
const ENGLISH: &str = "Heavy rain, thunderstorms and strong wind are expected all over Italy from 2 p.m. today.\n\n\
    - Do not drive unless you must\n- Stay away from rivers, streams and underpasses\n\
    - Move what is in your cellar to a higher place\n\nIn an emergency call **112**.";
const GERMAN: &str = "Ab heute 14 Uhr werden in ganz Italien Starkregen, Gewitter und Sturm erwartet.\n\n\
    - Fahren Sie nur, wenn es sein muss\n- Bleiben Sie Flüssen, Bächen und Unterführungen fern\n\
    - Bringen Sie nach oben, was im Keller steht\n\nRufen Sie im Notfall **112**.";

/// What of it should arrive where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Calls {
    /// Citizens whose inbox takes it.
    pub inboxes: u64,
    /// Every device that should get a push, as the simulators' records name it.
    pub devices: Vec<u64>,
    /// Every address that should get a mail, likewise.
    pub addresses: Vec<u64>,
}

/// Body of `POST /api/v1/alerts`.
#[must_use]
pub fn body() -> Value {
    json!({
        "texts": {
            "it_IT": {"subject": "Allerta meteo rossa: oggi resta a casa", "markdown": ITALIAN},
            "en_GB": {"subject": "Red weather warning: stay at home today", "markdown": ENGLISH},
            "de_DE": {"subject": "Unwetterwarnung Stufe Rot: heute zu Hause bleiben", "markdown": GERMAN},
        },
        "fallback_language": "it_IT",
        "audience": {"everyone": true},
        "lane": "urgent",
    })
}

/// Whether the inbox of a citizen should take it.
#[must_use]
pub fn enters_inbox(population: &Population, index: u64) -> bool {
    let citizen = population.citizen(index);
    matches!(by_the_rules(&citizen, None, false), Expected::Processed { .. })
}

/// What the rules call for, over the whole population: about 16 bytes a citizen.
#[must_use]
pub fn calls(population: &Population) -> Calls {
    let mut calls = Calls::default();
    for index in 0..population.size() {
        let citizen = population.citizen(index);
        let Expected::Processed { pushes, email } = by_the_rules(&citizen, None, false) else {
            continue;
        };
        calls.inboxes += 1;
        if pushes > 0 {
            let devices = citizen.devices.iter().map(|device| recipient(&device.token));
            calls.devices.extend(devices);
        }
        if email {
            calls.addresses.extend(citizen.email.as_deref().map(recipient));
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::{Mix, Mode};

    #[test]
    fn everyone_who_lets_new_services_in_is_called() {
        let population = Population::new(3, 5_000, Mix::Real);
        let calls = calls(&population);
        let open = |index: &u64| {
            let citizen = population.citizen(*index);
            citizen.is_inbox_enabled && citizen.mode == Mode::Auto
        };
        assert_eq!(calls.inboxes, (0..5_000).filter(open).count() as u64);
        assert!((0..5_000).all(|index| open(&index) == enters_inbox(&population, index)));
        assert!(calls.devices.len() > 1_000 && calls.addresses.len() > 1_000);
        assert!((calls.addresses.len() as u64) < calls.inboxes);
    }

    #[test]
    fn every_text_keeps_the_limits_of_the_contract() {
        let body = body();
        let texts = body["texts"].as_object().unwrap();
        assert!(texts.contains_key(body["fallback_language"].as_str().unwrap()));
        for text in texts.values() {
            let length = |field: &str| text[field].as_str().unwrap().chars().count();
            assert!((10..=120).contains(&length("subject")));
            assert!((80..=10_000).contains(&length("markdown")));
        }
    }
}
