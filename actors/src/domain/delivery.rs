//! Deliveries: a message on its way to one endpoint through one channel.

use serde::{Deserialize, Serialize};

use super::id::{DeliveryId, DeviceId, MessageId, PartitionId, RouteId};
use super::lane::Lane;
use super::message::MessageStatus;
use super::outcome::DeliveryStatus;
use super::time::Millis;

/// How a citizen can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// Push notification to a device.
    Push,
    /// E-mail.
    Email,
    /// The inbox in the app.
    InApp,
}

impl Channel {
    /// Every channel, for tables and metrics.
    pub const ALL: [Self; 3] = [Self::Push, Self::Email, Self::InApp];

    /// Name in metrics and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Email => "email",
            Self::InApp => "in_app",
        }
    }

    /// Index into arrays that hold one item per channel.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// Where exactly a delivery goes. Holds no address: that is looked up in the
/// citizen's record at each attempt, so that what was removed is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Endpoint {
    /// The inbox.
    Inbox,
    /// A device.
    Device(DeviceId),
    /// The e-mail address of the profile.
    Mailbox,
}

impl Endpoint {
    /// The channel that reaches this endpoint.
    #[must_use]
    pub const fn channel(self) -> Channel {
        match self {
            Self::Inbox => Channel::InApp,
            Self::Device(_) => Channel::Push,
            Self::Mailbox => Channel::Email,
        }
    }

    /// Identifier of the delivery of `message`, which is for one citizen, to
    /// this endpoint.
    #[must_use]
    pub fn delivery_id(self, message: MessageId) -> DeliveryId {
        let endpoint = match self {
            Self::Device(device) => device.0,
            Self::Inbox | Self::Mailbox => 0,
        };
        DeliveryId::of(message, self.channel() as u8, endpoint)
    }

    /// Identifier of the delivery of `alert` to this endpoint. An alert goes to
    /// many: where the endpoint does not say whose it is, the citizen's place
    /// does (their ordinal in a partition, which names nobody).
    #[must_use]
    pub fn alert_delivery_id(
        self,
        alert: MessageId,
        partition: PartitionId,
        ordinal: u32,
    ) -> DeliveryId {
        match self {
            Self::Device(_) => self.delivery_id(alert),
            Self::Inbox | Self::Mailbox => {
                let place = u64::from(partition.0) << 32 | u64::from(ordinal);
                DeliveryId::of(alert, self.channel() as u8, place)
            }
        }
    }
}

/// One delivery as stored with its message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    /// Where it goes.
    pub endpoint: Endpoint,
    /// The route that carries it; none for the inbox and for what was
    /// suppressed at once.
    pub route: Option<RouteId>,
    /// Attempts that ended without an outcome.
    pub retries: u16,
    /// Where it stands.
    pub status: DeliveryStatus,
}

/// State of a message: changes as it is carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageState {
    /// Where the message stands.
    pub status: MessageStatus,
    /// Its deliveries; their order is fixed once planned.
    pub deliveries: Vec<DeliveryRecord>,
    /// The lane its deliveries wait in; [`Lane::Normal`] before it is
    /// processed.
    pub lane: Lane,
    /// Its place in the partition's order of publication; 0 before it is
    /// processed. Orders deliveries that are due at the same instant.
    pub published: u64,
    /// Last change.
    pub updated_at: Millis,
}

impl MessageState {
    /// The state of a message just accepted.
    #[must_use]
    pub const fn accepted(at: Millis) -> Self {
        Self {
            status: MessageStatus::Accepted,
            deliveries: Vec::new(),
            lane: Lane::Normal,
            published: 0,
            updated_at: at,
        }
    }
}
