//! What the mail tests share: mails to send, routes to send them over.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use araldo::link::Links;
use araldo::provider::smtp::{Security, SmtpConnector, SmtpOptions, Timeouts};
use araldo::secret::Secret;
use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::delivery::Endpoint;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, OrganizationId, ServiceId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::message::{Content, FeatureLevel, Message, PaymentData};
use araldo_actors::domain::service::{Organization, Service, ServiceCategory};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::provider::{Answer, Email, Link, Notification};

/// Where every mail's links point to.
pub(crate) const PUBLIC_URL: &str = "https://araldo.example.it";
/// Every mail's sender.
pub(crate) const FROM: &str = "Araldo <no-reply@araldo.example.it>";
/// When every message was accepted.
pub(crate) const ACCEPTED: Millis = Millis(1_795_300_000_000);

pub(crate) fn links() -> Arc<Links> {
    Arc::new(Links::new(&Secret::new([7; 32]), PUBLIC_URL))
}

/// Options of a route to `relay`: clear text, deadlines of a few seconds.
pub(crate) fn options(relay: SocketAddr) -> SmtpOptions {
    let short = Duration::from_secs(5);
    SmtpOptions {
        host: relay.ip().to_string(),
        port: relay.port(),
        security: Security::None,
        ca_file: None,
        credentials: None,
        from: FROM.to_owned(),
        retry_after: Duration::from_mins(30),
        timeouts: Timeouts {
            connect: short,
            greeting: short,
            mail: short,
            recipient: short,
            data: short,
            block: short,
            end: short,
        },
    }
}

pub(crate) fn connector(options: SmtpOptions) -> SmtpConnector {
    SmtpConnector::new(options, links()).unwrap()
}

/// Options with STARTTLS and the certificates of the authority in `ca_file`.
pub(crate) fn secured(relay: SocketAddr, security: Security, ca_file: &Path) -> SmtpOptions {
    SmtpOptions { security, ca_file: Some(ca_file.to_owned()), ..options(relay) }
}

/// Mail number `number`, with a due date and a payment notice.
pub(crate) fn email(number: u64, to: &str) -> Email {
    let id = MessageId::new(ACCEPTED, u128::from(number));
    let service = Service {
        id: ServiceId::parse("tari-2026").unwrap(),
        name: "Tassa sui rifiuti".to_owned(),
        department: "Tributi".to_owned(),
        organization: Organization {
            id: OrganizationId::parse("01234567890").unwrap(),
            name: "Comune di Forlì".to_owned(),
        },
        category: ServiceCategory::Standard,
        require_secure_channels: false,
        max_payment_cents: 1_000_000,
        lane: Lane::Normal,
        groups: Vec::new(),
        authorized_cidrs: Vec::new(),
        authorized_recipients: Vec::new(),
        enabled: true,
    };
    let content = Content {
        subject: format!("Bollettino TARI n. {number}: è pronto"),
        markdown: "Gentile cittadina,\n\nil **bollettino** è pronto: \
            [aprilo](https://comune.example.it/tari).\n\n```\n.\n..punti\n.\n```\n\n\
            1. prima rata\n2. seconda rata\n"
            .to_owned(),
        require_secure_channels: None,
        due_date: Some(Millis(1_798_757_940_000)),
        payment: Some(PaymentData {
            amount: 123_456,
            notice_number: "301000000000000012".to_owned(),
            invalid_after_due_date: true,
            payee: None,
        }),
        extra: None,
    };
    let message = Message {
        id,
        fiscal_code: FiscalCode::parse("AAAAAA00A00A000A").unwrap(),
        service: service.id.clone(),
        accepted_at: ACCEPTED,
        time_to_live: 3600,
        lane: Lane::Normal,
        feature_level: FeatureLevel::Standard,
        content,
    };
    Email {
        delivery: Endpoint::Mailbox.delivery_id(id),
        to: to.to_owned(),
        language: Language::Italian,
        timezone: None,
        message: Arc::new(message),
        service: Arc::new(service),
        shared: false,
    }
}

/// Sends mail number `number` to a citizen of its own.
pub(crate) async fn send(link: &impl Link, number: u64) -> Answer {
    let email = email(number, &format!("citizen{number}@example.org"));
    link.send(&Notification::Email(email)).await
}
