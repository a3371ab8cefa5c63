//! The citizen's turn: what becomes of a message when it arrives, of a
//! delivery when its attempt is due, and of an attempt when it is answered.
//!
//! The same functions serve a citizen's actor and an alert's walk.
//! Each looks at the citizen and service *as they are now*: what was planned
//! an hour ago is not attempted against a preference changed since
//! (promise 3).

use std::sync::Arc;

use crate::domain::answer::Answer;
use crate::domain::citizen::{Citizen, Device};
use crate::domain::delivery::{DeliveryRecord, Endpoint};
use crate::domain::effect::Effect;
use crate::domain::email::Email;
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{AddressId, MessageId, RouteId};
use crate::domain::message::{Message, RejectionReason};
use crate::domain::notification::{Carrier, Notification};
use crate::domain::outcome::{DeliveryStatus, Failure, Outcome, Suppression};
use crate::domain::push::Push;
use crate::domain::service::Service;
use crate::domain::time::Millis;
use crate::policy::backoff::{self, RetryPolicy};
use crate::policy::notice::notice;
use crate::policy::routing::{self, Routing};

/// A configured route, as turns see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Its name.
    pub id: RouteId,
    /// What it carries.
    pub carrier: Carrier,
    /// How its failures are retried.
    pub retry: RetryPolicy,
}

/// Which routes carry what.
#[derive(Clone, Debug, Default)]
pub struct RouteTable {
    routes: Vec<RouteEntry>,
}

impl RouteTable {
    /// A table of the configured routes.
    #[must_use]
    pub const fn new(routes: Vec<RouteEntry>) -> Self {
        Self { routes }
    }

    /// The route for a device: always the same one while the configuration
    /// stays, spread by device where several carry its platform.
    #[must_use]
    pub fn device(&self, device: &Device) -> Option<&RouteId> {
        self.pick(Carrier::Push(device.platform), device.id().0)
    }

    /// The endpoints of `citizen` that `route` reaches.
    pub fn reaches(&self, route: &RouteEntry, citizen: &Citizen, mut found: impl FnMut(Endpoint)) {
        let mine = |hash| self.pick(route.carrier, hash) == Some(&route.id);
        match route.carrier {
            Carrier::Push(platform) => {
                let devices = citizen.devices.iter().filter(|device| device.platform == platform);
                devices
                    .map(Device::id)
                    .filter(|id| mine(id.0))
                    .map(Endpoint::Device)
                    .for_each(found);
            }
            Carrier::Email => {
                if citizen.address().is_some_and(|address| mine(spread(address))) {
                    found(Endpoint::Mailbox);
                }
            }
        }
    }

    /// All configured routes.
    #[must_use]
    pub fn entries(&self) -> &[RouteEntry] {
        &self.routes
    }

    /// The route for an address: always the same one while the configuration
    /// stays, spread by address where several carry mail.
    #[must_use]
    pub fn mailbox(&self, address: AddressId) -> Option<&RouteId> {
        self.pick(Carrier::Email, spread(address))
    }

    fn pick(&self, carrier: Carrier, hash: u64) -> Option<&RouteId> {
        let fitting = || self.routes.iter().filter(|route| route.carrier == carrier);
        let count = u64::try_from(fitting().count()).unwrap_or(u64::MAX);
        let place = hash.checked_rem(count)?;
        fitting().nth(usize::try_from(place).ok()?).map(|route| &route.id)
    }

    /// How failures of `route` are retried; none when it is not configured.
    #[must_use]
    pub fn retry(&self, route: &RouteId) -> Option<&RetryPolicy> {
        self.routes.iter().find(|entry| entry.id == *route).map(|entry| &entry.retry)
    }
}

/// The number that spreads addresses over routes.
const fn spread(address: AddressId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = address.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// What became of a message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The change to store.
    pub effect: Effect,
    /// Deliveries to attempt once it is stored, with their routes.
    pub attempts: Vec<(Endpoint, RouteId)>,
}

/// Plans a message on arrival.
#[must_use]
pub fn plan(
    message: &Message,
    citizen: Option<&Citizen>,
    service: Option<&Service>,
    routes: &RouteTable,
    now: Millis,
) -> Plan {
    let end = |effect| Plan { effect, attempts: Vec::new() };
    let reject = |reason| end(Effect::Rejected { message: message.id, reason });
    if now >= message.expires_at() {
        return end(Effect::Expired { message: message.id });
    }
    let Some(citizen) = citizen else { return reject(RejectionReason::UserNotFound) };
    let Some(service) = service else { return reject(RejectionReason::ServiceNotAllowed) };
    let secure = routing::is_secure(&message.content, service);
    let routing = match routing::route(citizen, service, secure, now) {
        Ok(routing) => routing,
        Err(reason) => return reject(reason),
    };
    let mut deliveries = vec![DeliveryRecord {
        endpoint: Endpoint::Inbox,
        route: None,
        retries: 0,
        status: DeliveryStatus::Ended { outcome: Outcome::Delivered, at: now },
    }];
    let mut attempts = Vec::new();
    for (endpoint, route, verdict) in endpoints(citizen, routes, &routing) {
        let status = match verdict {
            Ok(()) => DeliveryStatus::Pending { due: now },
            Err(why) => DeliveryStatus::Ended { outcome: Outcome::Suppressed(why), at: now },
        };
        if status.due().is_some() {
            attempts.push((endpoint, route.clone()));
        }
        deliveries.push(DeliveryRecord { endpoint, route: Some(route), retries: 0, status });
    }
    let effect = Effect::Processed {
        message: message.id,
        citizen: citizen.fiscal_code,
        lane: message.lane,
        deliveries,
    };
    Plan { effect, attempts }
}

/// Every endpoint besides the inbox that a route can reach, with that route
/// and the verdict on its channel.
fn endpoints(
    citizen: &Citizen,
    routes: &RouteTable,
    routing: &Routing,
) -> Vec<(Endpoint, RouteId, Result<(), Suppression>)> {
    let device = |device: &Device| {
        let route = routes.device(device)?.clone();
        Some((Endpoint::Device(device.id()), route, routing.push))
    };
    let mailbox = citizen.address().and_then(|address| routes.mailbox(address)).cloned();
    citizen
        .devices
        .iter()
        .filter_map(device)
        .chain(mailbox.map(|route| (Endpoint::Mailbox, route, routing.email)))
        .collect()
}

/// What an answer is about: the endpoint as it was when the attempt started.
/// A device registered again, or an address replaced since, is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A device, by when it was registered.
    Device(Millis),
    /// A mailbox, by its address.
    Mailbox(AddressId),
}

/// An attempt about to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// What to hand to the provider.
    pub notification: Notification,
    /// What its answer will be about.
    pub target: Target,
}

/// Prepares an attempt that is about to start, from what holds now: what a
/// push may show, and where a mail goes, can have changed since it was
/// planned.
///
/// # Errors
/// The outcome that ends the delivery without an attempt.
pub fn prepare(
    message: &Arc<Message>,
    endpoint: Endpoint,
    citizen: Option<&Citizen>,
    service: Option<&Arc<Service>>,
    now: Millis,
) -> Result<Prepared, Outcome> {
    let terms = Terms::of(message);
    let (citizen, way) = consent(terms, endpoint, citizen, service.map(Arc::as_ref), now)?;
    let service = service.ok_or(Outcome::Suppressed(Suppression::ServiceDisabled))?;
    let delivery = endpoint.delivery_id(message.id);
    Ok(match way {
        Way::Device(device) => Prepared {
            target: Target::Device(device.registered_at),
            notification: Notification::Push(Push {
                delivery,
                message: message.id,
                platform: device.platform,
                token: device.token.clone(),
                notice: Arc::new(notice(citizen, service, &message.content)),
                lane: message.lane,
                expires_at: message.expires_at(),
            }),
        },
        Way::Mailbox(address) => Prepared {
            target: Target::Mailbox(AddressId::of(address)),
            notification: Notification::Email(Email {
                delivery,
                to: address.to_owned(),
                language: citizen.language(),
                timezone: citizen.timezone.clone(),
                message: Arc::clone(message),
                service: Arc::clone(service),
                shared: false,
            }),
        },
    })
}

/// How an endpoint is reached now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way<'a> {
    /// By a push to this device.
    Device(&'a Device),
    /// By a mail to this address.
    Mailbox(&'a str),
}

/// What of a message or an alert decides whether an attempt may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// No attempt starts at or after this instant.
    pub expires_at: Millis,
    /// Overrides the service's flag when present.
    pub require_secure_channels: Option<bool>,
}

impl Terms {
    /// Those of a message.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        Self {
            expires_at: message.expires_at(),
            require_secure_channels: message.content.require_secure_channels,
        }
    }
}

/// Whether a delivery may be attempted now, by time and by the citizen's and
/// the operator's choice; and by which way.
///
/// # Errors
/// The outcome that ends the delivery without an attempt.
pub fn consent<'a>(
    terms: Terms,
    endpoint: Endpoint,
    citizen: Option<&'a Citizen>,
    service: Option<&Service>,
    now: Millis,
) -> Result<(&'a Citizen, Way<'a>), Outcome> {
    if now >= terms.expires_at {
        return Err(Outcome::Expired);
    }
    let removed = Outcome::Failed(Failure::EndpointRemoved);
    let citizen = citizen.ok_or(removed)?;
    let service = service
        .filter(|service| service.enabled)
        .ok_or(Outcome::Suppressed(Suppression::ServiceDisabled))?;
    let secure = routing::needs_secure(terms.require_secure_channels, service);
    let routing = routing::route(citizen, service, secure, now)
        .map_err(|_| Outcome::Suppressed(Suppression::ServicePreference))?;
    let way = match endpoint {
        Endpoint::Inbox => return Err(removed),
        Endpoint::Device(id) => {
            routing.push.map_err(Outcome::Suppressed)?;
            Way::Device(citizen.device(id).ok_or(removed)?)
        }
        Endpoint::Mailbox => {
            routing.email.map_err(Outcome::Suppressed)?;
            Way::Mailbox(citizen.email.as_deref().ok_or(removed)?)
        }
    };
    Ok((citizen, way))
}

/// An attempt that was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The message.
    pub message: MessageId,
    /// Which of its deliveries.
    pub endpoint: Endpoint,
    /// Its attempts before this one.
    pub retries: u16,
    /// No attempt starts from here on.
    pub expires_at: Millis,
    /// What it is about; none when no attempt was prepared.
    pub target: Option<Target>,
    /// What the provider said.
    pub answer: Answer,
}

/// Retries made at once, elsewhere, before even those wait: a peer that
/// refuses every stream would use up the budget within seconds.
const AT_ONCE: u16 = 3;

/// What to store about an attempt's answer. `unit` is a random number from 0
/// up to 1, for the jitter.
#[must_use]
pub fn react(
    citizen: FiscalCode,
    answered: &Answered,
    retry: &RetryPolicy,
    now: Millis,
    unit: f64,
) -> Vec<Effect> {
    let settle = |outcome| Effect::Settled {
        message: answered.message,
        endpoint: answered.endpoint,
        outcome,
    };
    let again = |hint| {
        let wait = backoff::delay(retry, answered.retries, hint, unit);
        vec![defer(answered, retry, now, now.after(wait))]
    };
    match &answered.answer {
        Answer::Accepted => vec![settle(Outcome::Delivered)],
        Answer::RetryDelivery { after, .. }
        | Answer::ProviderFailed { after, .. }
        | Answer::RetryRoute { after, .. } => again(*after),
        Answer::Unknown { .. } => again(None),
        Answer::RetryElsewhere { .. } if answered.retries < AT_ONCE => {
            vec![defer(answered, retry, now, now)]
        }
        Answer::RetryElsewhere { .. } => again(None),
        Answer::Fail { failure, .. } => vec![settle(Outcome::Failed(*failure))],
        Answer::Halt { .. } => vec![Effect::Deferred {
            message: answered.message,
            endpoint: answered.endpoint,
            due: now,
            retry: false,
        }],
        Answer::DropToken { registered_before, .. } => {
            let before = registered_before.unwrap_or(now);
            match (answered.endpoint, answered.target) {
                (Endpoint::Device(device), Some(Target::Device(registered)))
                    if registered < before =>
                {
                    vec![
                        settle(Outcome::Failed(Failure::EndpointGone)),
                        Effect::DeviceDropped { citizen, device, registered_before: before },
                    ]
                }
                (Endpoint::Mailbox, Some(Target::Mailbox(address))) => vec![
                    settle(Outcome::Failed(Failure::EndpointGone)),
                    Effect::AddressRefused { citizen, address },
                ],
                // Registered again since: the answer is about an older
                // registration, so the token stays.
                _ => vec![settle(Outcome::Failed(Failure::RefusedEndpoint))],
            }
        }
    }
}

/// One more try at `due`, unless time or budget end before it.
fn defer(answered: &Answered, retry: &RetryPolicy, now: Millis, due: Millis) -> Effect {
    let Answered { message, endpoint, retries, expires_at, .. } = *answered;
    if due >= expires_at || now >= expires_at {
        Effect::Settled { message, endpoint, outcome: Outcome::Expired }
    } else if retries >= retry.budget {
        let outcome = Outcome::Failed(Failure::RetriesExhausted);
        Effect::Settled { message, endpoint, outcome }
    } else {
        Effect::Deferred { message, endpoint, due, retry: true }
    }
}

#[cfg(test)]
mod tests;
