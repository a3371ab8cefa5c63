//! A morning of the public administration: the messages of the demo, each from its index alone.
//!
//! Owns nothing but seed, population and day. `message(index)` is pure: the same seed, population and day give the same
//! plan in every process, so a run can be repeated, resumed and judged. The citizen is drawn first, then a service that
//! fits where he lives. About one in a hundred goes to a valid codice fiscale nobody registered; some go to citizens
//! who switched the service off. What should become of each message is worked out here too, from the published rules
//! alone, for the audit to compare.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::HeaderValue;
use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Value, json};

pub use text::Content;

mod text;

use crate::catalogue::{Service, catalogue};
use crate::driver::{Outgoing, Source};
use crate::population::{Citizen, Draw, Mode, Population, Switches};
use crate::simulator::Behaviour;

/// Share of messages to people in no register, percent.
const UNKNOWN_PERCENT: u64 = 1;

/// The plan of a morning.
#[derive(Debug, Clone, Copy)]
pub struct Morning {
    seed: u64,
    population: Population,
    day: Date,
}

/// One planned message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Index in the plan.
    pub index: u64,
    /// Index of the recipient in the population; at or beyond its size for someone unknown.
    pub recipient: u64,
    /// Position of the service in the catalogue.
    pub service: usize,
    /// Body of `POST /api/v1/messages`, JSON.
    pub body: String,
    /// Value of `Idempotency-Key`, different for every message and seed.
    pub idempotency_key: String,
    /// What should become of it.
    pub expected: Expected,
}

/// What the published rules make of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Rejected: nobody registered with this codice fiscale.
    UserNotFound,
    /// Rejected: the citizen takes no messages, or none from this service.
    ServiceNotAllowed,
    /// Taken: in the inbox, and on this many other ways.
    Processed {
        /// Devices that get a push.
        pushes: u32,
        /// An e-mail goes out (when a relay is configured).
        email: bool,
    },
}

impl Morning {
    /// A plan. `day` is the date the texts and due dates start from.
    #[must_use]
    pub const fn new(seed: u64, population: Population, day: Date) -> Self {
        Self { seed, population, day }
    }

    /// The message at this index.
    #[must_use]
    pub fn message(&self, index: u64) -> Message {
        let mut draw = Draw::new(self.seed ^ 0x6d6f_726e_696e_6721, index);
        let size = self.population.size();
        let unknown = draw.percent(UNKNOWN_PERCENT) || size == 0;
        let recipient = if unknown { size + draw.below(1_000_000) } else { draw.below(size) };
        let citizen = self.population.citizen(recipient);
        let service_position = pick_service(&mut draw, &citizen);
        let service = &catalogue().services()[service_position];
        let content = text::write(&mut draw, service, &citizen, self.day);
        let expected =
            if unknown { Expected::UserNotFound } else { expected(&citizen, service_position) };
        Message {
            index,
            recipient,
            service: service_position,
            body: self.body(&mut draw, &citizen, service, &content).to_string(),
            idempotency_key: format!("morning-{:016x}-{index}", self.seed),
            expected,
        }
    }

    /// How many pushes of this message a provider will accept: those the rules call for, without devices whose token is
    /// dead at the simulators.
    #[must_use]
    pub fn expected_pushes(&self, message: &Message, behaviour: &Behaviour) -> u32 {
        match message.expected {
            Expected::Processed { pushes: 1.., .. } => {
                let devices = self.population.citizen(message.recipient).devices;
                let alive =
                    devices.iter().filter(|device| !behaviour.is_unregistered(&device.token));
                u32::try_from(alive.count()).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Whether the rules call for a mail of this message: its Message-ID must be taken by a relay, once.
    #[must_use]
    pub fn expected_mails(&self, message: &Message) -> u32 {
        u32::from(matches!(message.expected, Expected::Processed { email: true, .. }))
    }

    /// The plan as requests for the driver. `keys` are the sender keys in the order of the catalogue's services.
    ///
    /// A message whose service has no key is sent with an empty one, which the server refuses.
    #[must_use]
    pub fn source(self, keys: Vec<HeaderValue>) -> Source {
        Arc::new(move |index| {
            let message = self.message(index);
            Outgoing {
                path: "/api/v1/messages",
                key: keys.get(message.service).cloned().unwrap_or(HeaderValue::from_static("")),
                idempotency_key: HeaderValue::from_str(&message.idempotency_key).ok(),
                body: Bytes::from(message.body),
            }
        })
    }

    fn body(
        &self,
        draw: &mut Draw,
        citizen: &Citizen,
        service: &Service,
        content: &Content,
    ) -> Value {
        let mut inner = json!({"subject": content.subject, "markdown": content.markdown});
        let due = content.due_in_days.and_then(|days| self.day.checked_add(days.days()).ok());
        if let (Some(due), Some(object)) = (due, inner.as_object_mut()) {
            object.insert("due_date".to_owned(), Value::from(format!("{due}T22:59:59.000Z")));
        }
        if let (Some(cents), Some(object)) = (content.amount_cents, inner.as_object_mut()) {
            let notice_number = format!("3{:017}", draw.below(100_000_000_000_000_000));
            let amount = cents.clamp(1, service.max_payment.max(1));
            object.insert(
                "payment_data".to_owned(),
                json!({"amount": amount, "notice_number": notice_number, "invalid_after_due_date": false}),
            );
        }
        json!({"fiscal_code": citizen.fiscal_code, "content": inner})
    }
}

fn pick_service(draw: &mut Draw, citizen: &Citizen) -> usize {
    let fitting: Vec<usize> = catalogue().fitting(citizen.municipality).collect();
    let choice = draw.below(fitting.len().max(1) as u64);
    usize::try_from(choice).ok().and_then(|choice| fitting.get(choice).copied()).unwrap_or_default()
}

fn expected(citizen: &Citizen, service: usize) -> Expected {
    let secure = catalogue().services()[service].require_secure_channels();
    by_the_rules(citizen, citizen.preferences.get(&service), secure)
}

/// The rules of the sender contract: inbox switch, then the switches of the service or the mode for services without.
pub(crate) fn by_the_rules(
    citizen: &Citizen,
    switches: Option<&Switches>,
    secure: bool,
) -> Expected {
    let allowed = switches.map_or(citizen.mode == Mode::Auto, |switches| switches.inbox);
    if !citizen.is_inbox_enabled || !allowed {
        return Expected::ServiceNotAllowed;
    }
    let push = citizen.is_push_enabled && switches.is_none_or(|switches| switches.push);
    let email = citizen.is_email_enabled
        && citizen.email_validated
        && citizen.email.is_some()
        && !secure
        && switches.is_none_or(|switches| switches.email);
    let pushes = if push { u32::try_from(citizen.devices.len()).unwrap_or(0) } else { 0 };
    Expected::Processed { pushes, email }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::population::{Mix, fiscal_code};

    fn morning(seed: u64) -> Morning {
        Morning::new(seed, Population::new(9, 5_000, Mix::Real), Date::constant(2026, 11, 23))
    }

    #[test]
    fn the_same_seed_gives_the_same_plan_and_another_seed_another() {
        for index in 0..2_000 {
            assert_eq!(morning(1).message(index), morning(1).message(index));
            assert_ne!(morning(1).message(index).body, morning(2).message(index).body);
        }
    }

    #[test]
    fn every_message_keeps_the_limits_of_the_contract() {
        let plan = morning(3);
        let mut topics = HashSet::new();
        let mut keys = HashSet::new();
        for index in 0..20_000 {
            let message = plan.message(index);
            let service = &catalogue().services()[message.service];
            topics.insert(service.topic);
            assert!(keys.insert(message.idempotency_key.clone()));
            let body: Value = serde_json::from_str(&message.body).unwrap();
            assert!(fiscal_code::is_valid(body["fiscal_code"].as_str().unwrap()));
            let content = &body["content"];
            let length = |field: &str| content[field].as_str().unwrap().chars().count();
            assert!((10..=120).contains(&length("subject")), "{}", content["subject"]);
            assert!((80..=10_000).contains(&length("markdown")), "{}", content["markdown"]);
            if let Some(due) = content.get("due_date") {
                let due: jiff::Timestamp = due.as_str().unwrap().parse().unwrap();
                assert!(due > "2026-11-23T00:00:00Z".parse::<jiff::Timestamp>().unwrap());
            }
            if let Some(payment) = content.get("payment_data") {
                let amount = payment["amount"].as_u64().unwrap();
                assert!(amount >= 1 && amount <= service.max_payment);
                let number = payment["notice_number"].as_str().unwrap();
                assert!(
                    number.len() == 18
                        && number.starts_with('3')
                        && number.bytes().all(|b| b.is_ascii_digit())
                );
            }
        }
        assert_eq!(topics.len(), 15);
    }

    #[test]
    fn one_in_a_hundred_is_unknown_and_some_have_switched_the_service_off() {
        let plan = morning(4);
        let count = |test: fn(&Expected) -> bool| {
            (0..20_000).filter(|index| test(&plan.message(*index).expected)).count()
        };
        let unknown = count(|expected| *expected == Expected::UserNotFound);
        assert!((120..280).contains(&unknown), "{unknown}");
        let refused = count(|expected| *expected == Expected::ServiceNotAllowed);
        assert!((600..2_800).contains(&refused), "{refused}");
        let pushed = count(|expected| matches!(expected, Expected::Processed { pushes: 1.., .. }));
        assert!(pushed > 12_000, "{pushed}");
    }

    #[test]
    fn pushes_to_dead_tokens_are_not_expected() {
        let plan = morning(6);
        let sum = |behaviour: &Behaviour| -> u32 {
            (0..2_000).map(|index| plan.expected_pushes(&plan.message(index), behaviour)).sum()
        };
        let all = sum(&Behaviour::default());
        let half = sum(&Behaviour { unregistered_share: 0.5, ..Behaviour::default() });
        assert_eq!(sum(&Behaviour { unregistered_share: 1.0, ..Behaviour::default() }), 0);
        assert!(half > all * 2 / 5 && half < all * 3 / 5, "{half} of {all}");
        let planned: u32 = (0..2_000)
            .map(|index| match plan.message(index).expected {
                Expected::Processed { pushes, .. } => pushes,
                _ => 0,
            })
            .sum();
        assert_eq!(all, planned);
    }

    #[test]
    fn mails_are_called_for_where_every_switch_allows_them() {
        let plan = morning(8);
        let population = Population::new(9, 5_000, Mix::Real);
        let mut mails = 0;
        for index in 0..5_000 {
            let message = plan.message(index);
            let citizen = population.citizen(message.recipient);
            if plan.expected_mails(&message) == 1 {
                mails += 1;
                assert!(citizen.is_email_enabled && citizen.email_validated);
                let service = &catalogue().services()[message.service];
                assert!(!service.require_secure_channels());
                assert!(citizen.preferences.get(&message.service).is_none_or(|s| s.email));
            }
        }
        assert!((2_000..3_000).contains(&mails), "{mails}");
    }

    #[test]
    fn requests_carry_the_key_of_their_service() {
        let plan = morning(7);
        let keys = (0..catalogue().services().len()).map(HeaderValue::from).collect();
        let source = plan.source(keys);
        for index in 0..100 {
            let message = plan.message(index);
            let outgoing = source(index);
            assert_eq!(outgoing.key, HeaderValue::from(message.service));
            assert_eq!(outgoing.body, message.body);
            assert_eq!(outgoing.idempotency_key.unwrap(), message.idempotency_key.as_str());
        }
    }

    #[test]
    fn local_services_write_to_their_own_citizens() {
        let plan = morning(5);
        let population = Population::new(9, 5_000, Mix::Real);
        for index in 0..3_000 {
            let message = plan.message(index);
            let home = population.citizen(message.recipient).municipality;
            assert!(catalogue().fitting(home).any(|service| service == message.service));
        }
    }
}
