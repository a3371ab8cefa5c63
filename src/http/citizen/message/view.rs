//! A message as its citizen sees it: `PublicMessage`, `EnrichedMessage` and
//! `CreatedMessageWithContent` of IO's contract.

use std::borrow::Cow;

use araldo_actors::domain::inbox::{InboxItem, Marks};
use araldo_actors::domain::message::{Content, Message};
use araldo_actors::domain::service::Service;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::sender::message_view::ContentOut;
use crate::http::validate::iso;

/// What IO's category PAYMENT names a payment by: payee and notice.
fn rpt_id(content: &Content, organization: &str) -> Option<String> {
    let payment = content.payment.as_ref()?;
    let payee = payment.payee.as_ref().map_or(organization, |payee| payee.as_str());
    Some(format!("{payee}{}", payment.notice_number))
}

/// An item of a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum PublicMessage {
    /// With `enrich_result_data`.
    Enriched(EnrichedMessage),
    /// Without.
    Plain(CreatedMessageWithoutContent),
}

impl PublicMessage {
    /// Shows `item`.
    pub fn new(app: &App, item: &InboxItem, is_enriched: bool) -> Self {
        if is_enriched {
            Self::Enriched(EnrichedMessage::new(app, item))
        } else {
            Self::Plain(CreatedMessageWithoutContent::new(&item.message))
        }
    }
}

/// What every form of a message says.
#[derive(Serialize, ToSchema)]
pub struct CreatedMessageWithoutContent {
    /// A ULID.
    id: String,
    fiscal_code: String,
    time_to_live: u32,
    created_at: String,
    sender_service_id: String,
}

impl CreatedMessageWithoutContent {
    fn new(message: &Message) -> Self {
        Self {
            id: message.id.to_string(),
            fiscal_code: message.fiscal_code.to_string(),
            time_to_live: message.time_to_live,
            created_at: iso(message.accepted_at),
            sender_service_id: message.service.to_string(),
        }
    }
}

/// A message with its sender, title, category and marks.
#[derive(Serialize, ToSchema)]
pub struct EnrichedMessage {
    #[serde(flatten)]
    message: CreatedMessageWithoutContent,
    #[serde(flatten)]
    attributes: Attributes,
}

impl EnrichedMessage {
    /// Shows `item`.
    pub fn new(app: &App, item: &InboxItem) -> Self {
        let service = app.engine().directory().service(&item.message.service);
        Self {
            message: CreatedMessageWithoutContent::new(&item.message),
            attributes: Attributes::new(&item.message, item.entry.marks, service.as_deref()),
        }
    }
}

/// What enriches a message.
#[derive(Serialize, ToSchema)]
#[schema(as = EnrichedMessageAttributes)]
struct Attributes {
    service_name: String,
    organization_name: String,
    organization_fiscal_code: String,
    message_title: String,
    category: Category,
    has_attachments: bool,
    has_precondition: bool,
    is_read: bool,
    is_archived: bool,
}

/// IO's `MessageCategory`.
#[derive(Serialize, ToSchema)]
#[schema(as = MessageCategory)]
struct Category {
    /// PAYMENT, LEGAL_MESSAGE, EU_COVID_CERT or GENERIC.
    tag: &'static str,
    /// With PAYMENT: fiscal code of the payee and number of the notice.
    #[serde(rename = "rptId", skip_serializing_if = "Option::is_none")]
    rpt_id: Option<String>,
}

/// The parts carried unread that a list speaks of.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts<'a> {
    legal_data: Option<Legal>,
    eu_covid_cert: Option<serde::de::IgnoredAny>,
    #[serde(borrow)]
    third_party_data: Option<ThirdParty<'a>>,
}

#[derive(Deserialize)]
struct Legal {
    #[serde(default)]
    has_attachment: bool,
}

#[derive(Deserialize)]
struct ThirdParty<'a> {
    #[serde(default)]
    has_attachments: bool,
    #[serde(borrow)]
    has_precondition: Option<Cow<'a, str>>,
}

impl Attributes {
    fn new(message: &Message, marks: Marks, service: Option<&Service>) -> Self {
        let content = &message.content;
        let extra = content.extra.as_deref().unwrap_or("{}");
        let parts: Parts<'_> = serde_json::from_str(extra).unwrap_or_default();
        let organization = service.map_or("", |service| service.organization.id.as_str());
        let rpt_id = rpt_id(content, organization);
        let tag = match (&parts, &rpt_id) {
            (Parts { eu_covid_cert: Some(_), .. }, _) => "EU_COVID_CERT",
            (Parts { legal_data: Some(_), .. }, _) => "LEGAL_MESSAGE",
            (_, Some(_)) => "PAYMENT",
            _ => "GENERIC",
        };
        let third = parts.third_party_data.as_ref();
        let legal = parts.legal_data.as_ref();
        Self {
            service_name: service
                .map_or_else(|| message.service.to_string(), |service| service.name.clone()),
            organization_name: service
                .map(|service| service.organization.name.clone())
                .unwrap_or_default(),
            organization_fiscal_code: organization.to_owned(),
            message_title: content.subject.clone(),
            category: Category { tag, rpt_id: rpt_id.filter(|_| tag == "PAYMENT") },
            has_attachments: third.is_some_and(|third| third.has_attachments)
                || legal.is_some_and(|legal| legal.has_attachment),
            has_precondition: third.is_some_and(|third| match third.has_precondition.as_deref() {
                Some("ALWAYS") => true,
                Some("ONCE") => !marks.read,
                _ => false,
            }),
            is_read: marks.read,
            is_archived: marks.archived,
        }
    }
}

/// A message with its content; with `public_message` also what a list shows.
#[derive(Serialize, ToSchema)]
#[schema(as = CreatedMessageWithContentAndEnrichedData)]
pub struct MessageWithContent {
    #[serde(flatten)]
    message: CreatedMessageWithoutContent,
    content: ContentOut,
    #[serde(flatten)]
    attributes: Option<Attributes>,
}

impl MessageWithContent {
    /// Shows `item`.
    pub fn new(app: &App, item: InboxItem, is_public: bool) -> Self {
        let service = app.engine().directory().service(&item.message.service);
        let service = service.as_deref();
        let marks = item.entry.marks;
        Self {
            attributes: is_public.then(|| Attributes::new(&item.message, marks, service)),
            message: CreatedMessageWithoutContent::new(&item.message),
            content: ContentOut::of(item.message.content, service),
        }
    }
}
