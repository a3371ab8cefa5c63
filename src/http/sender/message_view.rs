//! `ExternalMessageResponseWithContent` of IO's contract, and beyond it the
//! state of every delivery.
//!
//! IO's statuses are fewer than ours. What expired, was recalled or was set
//! aside is FAILED ("no notification will be sent for this message"), and
//! `status_detail` says which.

use araldo_actors::domain::delivery::{Channel, DeliveryRecord, MessageState};
use araldo_actors::domain::message::{Content, FeatureLevel, Message, MessageStatus};
use araldo_actors::domain::outcome::{DeliveryStatus, Outcome};
use araldo_actors::domain::service::Service;
use serde::Serialize;
use utoipa::ToSchema;

use super::content::Payee;
use crate::http::key::hex;
use crate::http::validate::iso;

/// A message with what became of it.
#[derive(Serialize, ToSchema)]
#[schema(as = ExternalMessageResponseWithContent)]
pub struct MessageResponse {
    message: MessageOut,
    #[serde(skip_serializing_if = "Notification::is_empty")]
    notification: Notification,
    /// ACCEPTED, PROCESSED, REJECTED or FAILED.
    status: &'static str,
    /// With REJECTED: SERVICE_NOT_ALLOWED, USER_NOT_FOUND or UNKNOWN.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejection_reason: Option<&'static str>,
    /// With FAILED: EXPIRED, RECALLED or QUARANTINED.
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'static str>,
    /// For ADVANCED messages and who may read it: READ, UNREAD, or
    /// UNAVAILABLE where the citizen does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    read_status: Option<&'static str>,
    /// Last change of the message or of one of its deliveries.
    updated_at: String,
    /// Every delivery.
    delivery: Vec<DeliveryOut>,
}

/// The message as it was accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = ExternalCreatedMessageWithContent)]
struct MessageOut {
    id: String,
    fiscal_code: String,
    time_to_live: u32,
    created_at: String,
    content: ContentOut,
    sender_service_id: String,
    feature_level_type: &'static str,
}

/// Content as it was accepted.
#[derive(Serialize, ToSchema)]
#[schema(as = NewMessageContent)]
pub struct ContentOut {
    subject: String,
    markdown: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    require_secure_channels: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_data: Option<PaymentOut>,
    /// prescription_data, legal_data, eu_covid_cert, third_party_data.
    #[serde(flatten)]
    #[schema(ignore)]
    extra: serde_json::Map<String, serde_json::Value>,
}

/// A payment, its payee always named.
#[derive(Serialize, ToSchema)]
#[schema(as = PaymentDataWithRequiredPayee)]
struct PaymentOut {
    amount: u64,
    notice_number: String,
    invalid_after_due_date: bool,
    payee: Payee,
}

/// IO's channel statuses: SENT, THROTTLED, EXPIRED or FAILED.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageResponseNotificationStatus)]
struct Notification {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<&'static str>,
}

/// One delivery.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
struct DeliveryOut {
    /// The identifier providers are given (`apns-id`, `delivery_id`).
    id: String,
    /// push, email or in_app.
    channel: &'static str,
    /// The configured route that carries it.
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    /// pending, delivered, failed, expired, cancelled or suppressed.
    /// "delivered" means accepted by the provider or stored in the inbox.
    state: &'static str,
    /// Why it failed or was suppressed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// Attempts that were repeated.
    retries: u16,
    /// When the next attempt is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<String>,
    /// When it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
}

impl MessageResponse {
    /// Shows `message`, which `service` sent, in its `state`.
    pub fn new(
        message: Message,
        state: &MessageState,
        service: Option<&Service>,
        read_status: Option<&'static str>,
    ) -> Self {
        let (status, rejection_reason, status_detail) = status(&state.status);
        let delivery = |record: &DeliveryRecord| DeliveryOut::new(&message, record);
        Self {
            notification: Notification {
                email: channel_status(&state.deliveries, Channel::Email),
                webhook: channel_status(&state.deliveries, Channel::Push),
            },
            status,
            rejection_reason,
            status_detail,
            read_status,
            updated_at: iso(state.updated_at),
            delivery: state.deliveries.iter().map(delivery).collect(),
            message: MessageOut::new(message, service),
        }
    }
}

impl MessageOut {
    fn new(message: Message, service: Option<&Service>) -> Self {
        Self {
            id: message.id.to_string(),
            fiscal_code: message.fiscal_code.to_string(),
            time_to_live: message.time_to_live,
            created_at: iso(message.accepted_at),
            content: ContentOut::of(message.content, service),
            sender_service_id: message.service.to_string(),
            feature_level_type: match message.feature_level {
                FeatureLevel::Standard => "STANDARD",
                FeatureLevel::Advanced => "ADVANCED",
            },
        }
    }
}

impl ContentOut {
    /// Shows `content` of a message that `service` sent.
    pub fn of(content: Content, service: Option<&Service>) -> Self {
        let payment_data = content.payment.map(|payment| PaymentOut {
            amount: payment.amount,
            notice_number: payment.notice_number,
            invalid_after_due_date: payment.invalid_after_due_date,
            payee: Payee {
                fiscal_code: payment
                    .payee
                    .or_else(|| service.map(|service| service.organization.id.clone()))
                    .map(|payee| payee.to_string())
                    .unwrap_or_default(),
            },
        });
        let extra = content.extra.and_then(|extra| serde_json::from_str(&extra).ok());
        Self {
            subject: content.subject,
            markdown: content.markdown,
            require_secure_channels: content.require_secure_channels,
            due_date: content.due_date.map(iso),
            payment_data,
            extra: extra.unwrap_or_default(),
        }
    }
}

impl Notification {
    fn is_empty(&self) -> bool {
        self.email.is_none() && self.webhook.is_none()
    }
}

impl DeliveryOut {
    fn new(message: &Message, record: &DeliveryRecord) -> Self {
        let (state, reason, due_at, ended_at) = match record.status {
            DeliveryStatus::Pending { due } => ("pending", None, Some(iso(due)), None),
            DeliveryStatus::Ended { outcome, at } => {
                (outcome.as_str(), reason(outcome), None, Some(iso(at)))
            }
        };
        Self {
            id: uuid(record.endpoint.delivery_id(message.id).uuid_bytes()),
            channel: record.endpoint.channel().as_str(),
            route: record.route.as_ref().map(ToString::to_string),
            state,
            reason,
            retries: record.retries,
            due_at,
            ended_at,
        }
    }
}

const fn reason(outcome: Outcome) -> Option<&'static str> {
    match outcome {
        Outcome::Failed(failure) => Some(failure.as_str()),
        Outcome::Suppressed(suppression) => Some(suppression.as_str()),
        Outcome::Delivered | Outcome::Expired | Outcome::Cancelled => None,
    }
}

/// IO's status, its rejection reason, and our word for what IO calls FAILED.
const fn status(
    status: &MessageStatus,
) -> (&'static str, Option<&'static str>, Option<&'static str>) {
    match status {
        MessageStatus::Accepted => ("ACCEPTED", None, None),
        MessageStatus::Processed => ("PROCESSED", None, None),
        MessageStatus::Rejected(reason) => ("REJECTED", Some(reason.as_str()), None),
        MessageStatus::Expired => ("FAILED", None, Some("EXPIRED")),
        MessageStatus::Recalled => ("FAILED", None, Some("RECALLED")),
        MessageStatus::Quarantined(_) => ("FAILED", None, Some("QUARANTINED")),
    }
}

/// IO's status of a channel: the best of its deliveries. None where nothing
/// was or will be attempted, or where the first attempt is still to come.
fn channel_status(deliveries: &[DeliveryRecord], channel: Channel) -> Option<&'static str> {
    let rank = |record: &DeliveryRecord| match record.status {
        DeliveryStatus::Ended { outcome: Outcome::Delivered, .. } => Some((0, Some("SENT"))),
        DeliveryStatus::Pending { .. } if record.retries > 0 => Some((1, Some("THROTTLED"))),
        DeliveryStatus::Pending { .. } => Some((2, None)),
        DeliveryStatus::Ended { outcome: Outcome::Expired, .. } => Some((3, Some("EXPIRED"))),
        DeliveryStatus::Ended { outcome: Outcome::Failed(_), .. } => Some((4, Some("FAILED"))),
        DeliveryStatus::Ended { outcome: Outcome::Cancelled | Outcome::Suppressed(_), .. } => None,
    };
    deliveries
        .iter()
        .filter(|record| record.endpoint.channel() == channel)
        .filter_map(rank)
        .min_by_key(|(rank, _)| *rank)
        .and_then(|(_, status)| status)
}

/// The 8-4-4-4-12 form of RFC 9562.
fn uuid(bytes: [u8; 16]) -> String {
    let hex = hex(&bytes);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}
