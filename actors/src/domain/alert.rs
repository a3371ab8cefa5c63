//! An alert: one set of texts from a service to an audience.
//!
//! One record, whatever the number of its recipients: who was reached is in
//! the ledger ([`super::ledger`]), a few bits each.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::area::{Area, AreaSet};
use super::books::DeliveryTotals;
use super::citizen::{Citizen, Language};
use super::id::{MessageId, RouteId, ServiceId};
use super::lane::Lane;
use super::ledger::Straggler;
use super::message::{Content, FeatureLevel, Message};
use super::time::Millis;

/// What a citizen reads of an alert, in one language.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertText {
    /// 10 to 120 characters.
    pub subject: String,
    /// 80 to 10 000 characters.
    pub markdown: String,
}

/// Text may be read by its audience only: a debug print shows its length.
impl std::fmt::Debug for AlertText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlertText({} bytes)", self.subject.len() + self.markdown.len())
    }
}

/// Whom an alert is for. Looked at once for each citizen, when the walk comes
/// by; who moves or registers afterwards is neither added nor dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Audience {
    /// Every citizen.
    Everyone,
    /// Who lives in one of these areas.
    Areas(Vec<Area>),
}

/// An audience, ready to be asked about many citizens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// Every citizen.
    Everyone,
    /// Who lives in one of these areas.
    Residents(AreaSet),
}

impl Members {
    /// Whether `citizen` is one.
    #[must_use]
    pub fn include(&self, citizen: &Citizen) -> bool {
        match self {
            Self::Everyone => true,
            Self::Residents(areas) => citizen
                .municipality
                .as_deref()
                .and_then(|code| code.parse().ok())
                .is_some_and(|code| areas.contain(code)),
        }
    }
}

impl From<&Audience> for Members {
    fn from(audience: &Audience) -> Self {
        match audience {
            Audience::Everyone => Self::Everyone,
            Audience::Areas(areas) => Self::Residents(areas.iter().copied().collect()),
        }
    }
}

/// An alert as accepted; immutable. Its id is a message's: it is one in every
/// inbox it reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Identifier.
    pub id: MessageId,
    /// Sender.
    pub service: ServiceId,
    /// When it was accepted.
    pub accepted_at: Millis,
    /// No attempt starts at or after this instant.
    pub expires_at: Millis,
    /// Priority.
    pub lane: Lane,
    /// The text in each language; at least one.
    pub texts: BTreeMap<Language, AlertText>,
    /// The language of who prefers none of these; one of them.
    pub fallback: Language,
    /// Whom it is for.
    pub audience: Audience,
    /// Overrides the service's flag when present.
    pub require_secure_channels: Option<bool>,
}

impl Alert {
    /// The language in which `citizen` gets it: the first preferred one that
    /// there is, else the fallback.
    #[must_use]
    pub fn language(&self, citizen: &Citizen) -> Language {
        let preferred = citizen.languages.iter().find(|one| self.texts.contains_key(one));
        preferred.copied().unwrap_or(self.fallback)
    }

    /// How long it goes out, in seconds, a begun one counted: it is accepted a
    /// moment after its end was reckoned, and a day is a day.
    fn seconds(&self) -> u32 {
        let lasts = self.expires_at.since(self.accepted_at).as_millis();
        u32::try_from(lasts.div_ceil(1_000)).unwrap_or(u32::MAX)
    }

    /// The alert as one of `citizen`'s messages; none when it has no text.
    #[must_use]
    pub fn message_to(&self, citizen: &Citizen) -> Option<Message> {
        let text =
            self.texts.get(&self.language(citizen)).or_else(|| self.texts.values().next())?;
        Some(Message {
            id: self.id,
            fiscal_code: citizen.fiscal_code,
            service: self.service.clone(),
            accepted_at: self.accepted_at,
            time_to_live: self.seconds(),
            lane: self.lane,
            feature_level: FeatureLevel::Standard,
            content: Content {
                subject: text.subject.clone(),
                markdown: text.markdown.clone(),
                require_secure_channels: self.require_secure_channels,
                due_date: None,
                payment: None,
                extra: None,
            },
        })
    }
}

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertStatus {
    /// Its walks go on.
    Running,
    /// Stopped for now, by somebody.
    Paused,
    /// Every walk reached its end.
    Completed,
    /// Stopped for good, by somebody.
    Cancelled,
    /// Stopped for good, by time.
    Expired,
}

impl AlertStatus {
    /// Whether nothing changes any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Cancelled | Self::Expired)
    }
}

/// An alert with where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRecord {
    /// The alert.
    pub alert: Alert,
    /// Where it stands.
    pub status: AlertStatus,
    /// Last change of the status.
    pub updated_at: Millis,
    /// For each partition, the ordinal its walks end at: citizens registered
    /// after the alert was accepted are not reached.
    pub ends: Vec<u32>,
    /// Since when it is to be cancelled. It is once nothing of it waits any more;
    /// nothing of it starts until then.
    pub cancelling_since: Option<Millis>,
}

/// One of the walks of an alert through a partition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Walk {
    /// Decides who belongs to the audience and puts the alert into their
    /// inboxes; goes first.
    Inbox,
    /// Hands deliveries to a route; stays behind the inbox's walk.
    Route(RouteId),
}

/// How far a walk is. Everything below `next` has its place in the ledger and
/// in the totals; what was in flight beyond it at a crash is done again, under
/// the same ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The next ordinal to visit.
    pub next: u32,
    /// Raised by one on each write, so that a step is applied once.
    pub revision: u64,
    /// Citizens found in the audience.
    pub recipients: u64,
    /// Deliveries of this walk.
    pub totals: DeliveryTotals,
    /// Deliveries below `next` that are still to be tried again; bounded.
    pub stragglers: Vec<Straggler>,
}

#[cfg(test)]
mod tests {
    use super::{Alert, Audience, BTreeMap, Lane, Language, MessageId, Millis, ServiceId};

    #[test]
    fn an_alert_for_a_day_lasts_a_day_though_it_was_stored_a_moment_later() {
        let alert = |accepted_at, expires_at| Alert {
            id: MessageId::new(Millis(accepted_at), 1),
            service: ServiceId::parse("s").expect("a service id"),
            accepted_at: Millis(accepted_at),
            expires_at: Millis(expires_at),
            lane: Lane::Bulk,
            texts: BTreeMap::new(),
            fallback: Language::Italian,
            audience: Audience::Everyone,
            require_secure_channels: None,
        };
        assert_eq!(alert(1_003, 86_401_000).seconds(), 86_400);
        assert_eq!(alert(1_000, 86_401_000).seconds(), 86_400);
        assert_eq!(alert(1_000, 86_401_001).seconds(), 86_401);
    }
}
