//! Synthetic people and services for the tests of the policies.

#![allow(clippy::unwrap_used, reason = "compiled for tests only")]

use crate::domain::citizen::{Citizen, Device, Platform};
use crate::domain::fiscal_code::FiscalCode;
use crate::domain::id::{MessageId, OrganizationId, RouteId, ServiceId};
use crate::domain::lane::Lane;
use crate::domain::message::{Content, FeatureLevel, Message};
use crate::domain::service::{Organization, Service, ServiceCategory};
use crate::domain::time::Millis;

pub(crate) const ACCEPTED_AT: Millis = Millis(1_700_000_000_000);

pub(crate) fn citizen() -> Citizen {
    let mut citizen = Citizen::new(FiscalCode::parse("RSSMRA85T10A562S").unwrap());
    citizen.email = Some("maria@example.org".into());
    citizen.email_validated = true;
    citizen
}

pub(crate) fn device(platform: Platform, token: &str) -> Device {
    Device { platform, token: token.into(), registered_at: Millis(1_000), installation: None }
}

pub(crate) fn service() -> Service {
    Service {
        id: ServiceId::parse("mensa").unwrap(),
        name: "Mensa scolastica".into(),
        department: "Scuola".into(),
        organization: Organization {
            id: OrganizationId::parse("01234567890").unwrap(),
            name: "Comune di Prova".into(),
        },
        category: ServiceCategory::Standard,
        require_secure_channels: false,
        max_payment_cents: 0,
        lane: Lane::Normal,
        groups: vec![],
        authorized_cidrs: vec![],
        authorized_recipients: vec![],
        enabled: true,
    }
}

pub(crate) fn message() -> Message {
    Message {
        id: MessageId::new(ACCEPTED_AT, 7),
        fiscal_code: citizen().fiscal_code,
        service: service().id,
        accepted_at: ACCEPTED_AT,
        time_to_live: 3_600,
        lane: Lane::Normal,
        feature_level: FeatureLevel::Standard,
        content: Content {
            subject: "Menu della settimana".into(),
            markdown: "Pasta al pomodoro, verdure di stagione e frutta. ".repeat(2),
            require_secure_channels: None,
            due_date: None,
            payment: None,
            extra: None,
        },
    }
}

pub(crate) fn route(name: &str) -> RouteId {
    RouteId::parse(name).unwrap()
}
