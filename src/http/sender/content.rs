//! `MessageContent` of IO's contract: what the citizen reads.
//!
//! Fields the contract does not name are dropped, as the original drops them
//! (its decoder is io-ts `exact`, which strips; the OpenAPI text does not
//! forbid additional properties).

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{MessageId, OrganizationId};
use araldo_actors::domain::message::{Content, PaymentData};
use araldo_actors::domain::service::Service;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::body::Object;
use crate::http::validate::{Faults, must_be, utc_instant};

/// Largest payment pagoPA takes, in euro cents.
const MOST_CENTS: u64 = 9_999_999_999;

/// Content as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MessageContent)]
pub struct ContentIn {
    /// Subject.
    #[schema(min_length = 10, max_length = 120)]
    pub subject: String,
    /// Text in Markdown.
    #[schema(min_length = 80, max_length = 10_000)]
    pub markdown: String,
    /// True: no e-mail, and pushes show nothing of the message. Overrides the
    /// service's flag.
    pub require_secure_channels: Option<bool>,
    /// A deadline, ISO 8601 in UTC.
    #[schema(example = "2018-10-13T00:00:00.000Z")]
    pub due_date: Option<String>,
    /// A payment.
    #[schema(value_type = Option<PaymentIn>)]
    pub payment_data: Option<Object<PaymentIn>>,
    /// A medical prescription.
    #[schema(value_type = Option<Prescription>)]
    pub prescription_data: Option<Object<Prescription>>,
    /// A registered mail.
    #[schema(value_type = Option<LegalData>)]
    pub legal_data: Option<Object<LegalData>>,
    /// An EU Covid certificate.
    #[schema(value_type = Option<EuCovidCert>)]
    pub eu_covid_cert: Option<Object<EuCovidCert>>,
    /// Content kept by the sender.
    #[schema(value_type = Option<ThirdPartyData>)]
    pub third_party_data: Option<Object<ThirdPartyData>>,
}

/// A pagoPA payment.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = PaymentData)]
pub struct PaymentIn {
    /// Euro cents.
    #[schema(minimum = 1, maximum = 9_999_999_999_u64)]
    pub amount: u64,
    /// "Numero Avviso" of pagoPA.
    #[schema(pattern = "^[0123][0-9]{17}$")]
    pub notice_number: String,
    /// Whether it cannot be paid after the due date.
    #[serde(default)]
    pub invalid_after_due_date: bool,
    /// Who is paid; the sender's organisation when absent.
    #[schema(value_type = Option<Payee>)]
    pub payee: Option<Object<Payee>>,
}

/// Who is paid.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Payee {
    /// Fiscal code of the organisation.
    #[schema(pattern = "^[0-9]{11}$")]
    pub fiscal_code: String,
}

/// A medical prescription.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PrescriptionData)]
pub struct Prescription {
    /// Numero ricetta elettronica.
    #[schema(min_length = 15, max_length = 15)]
    nre: String,
    /// Identificativo unico di prescrizione.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 16)]
    iup: Option<String>,
    /// The doctor.
    #[serde(skip_serializing_if = "Option::is_none")]
    prescriber_fiscal_code: Option<String>,
}

/// A registered mail.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LegalData {
    sender_mail_from: String,
    #[serde(default)]
    has_attachment: bool,
    message_unique_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_message_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pec_server_service_id: Option<String>,
}

/// An EU Covid certificate.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = EUCovidCert)]
pub struct EuCovidCert {
    auth_code: String,
}

/// Content kept by the sender.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ThirdPartyData {
    /// Identifier at the sender.
    #[schema(min_length = 1)]
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_sender: Option<String>,
    /// ISO 8601 in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_receipt_date: Option<String>,
    /// Needs an ADVANCED message.
    #[serde(default)]
    pub has_attachments: bool,
    #[serde(default)]
    has_remote_content: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    has_precondition: Option<Precondition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<String>,
    /// The sender's configuration of remote content, a ULID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration_id: Option<String>,
}

/// When a citizen must confirm before reading.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = HasPrecondition)]
enum Precondition {
    Always,
    Once,
    Never,
}

/// The parts Araldo carries unread.
#[derive(Serialize)]
struct Extra {
    #[serde(skip_serializing_if = "Option::is_none")]
    prescription_data: Option<Prescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    legal_data: Option<LegalData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    eu_covid_cert: Option<EuCovidCert>,
    #[serde(skip_serializing_if = "Option::is_none")]
    third_party_data: Option<ThirdPartyData>,
}

impl ContentIn {
    /// Checks everything the contract says of content and turns it into the
    /// domain's; what is refused goes to `faults`.
    pub fn check(self, service: &Service, faults: &mut Faults) -> Content {
        faults.length("content.subject", &self.subject, 10, 120);
        faults.length("content.markdown", &self.markdown, 80, 10_000);
        let due_date = self.due_date.and_then(|text| instant("content.due_date", &text, faults));
        let payment = self.payment_data.map(|payment| payment.0.check(service, faults));
        let extra = Extra {
            prescription_data: self.prescription_data.map(|given| given.0),
            legal_data: self.legal_data.map(|given| given.0),
            eu_covid_cert: self.eu_covid_cert.map(|given| given.0),
            third_party_data: self.third_party_data.map(|given| given.0),
        };
        Content {
            subject: self.subject,
            markdown: self.markdown,
            require_secure_channels: self.require_secure_channels,
            due_date,
            payment,
            extra: extra.check(faults),
        }
    }
}

impl PaymentIn {
    fn check(self, service: &Service, faults: &mut Faults) -> PaymentData {
        if !(1..=MOST_CENTS).contains(&self.amount) {
            faults.add("content.payment_data.amount", "must be 1 to 9999999999 euro cents");
        } else if self.amount > service.max_payment_cents {
            faults.add(
                "content.payment_data.amount",
                format!(
                    "must not be above the service's max_allowed_payment_amount, {} euro cents",
                    service.max_payment_cents
                ),
            );
        }
        let digits = self.notice_number.as_bytes();
        let first = digits.first().is_some_and(|digit| (b'0'..=b'3').contains(digit));
        if digits.len() != 18 || !first || !digits.iter().all(u8::is_ascii_digit) {
            faults.add("content.payment_data.notice_number", "must be 18 digits, the first 0 to 3");
        }
        let payee = self.payee.and_then(|payee| {
            OrganizationId::parse(&payee.fiscal_code)
                .map_err(|invalid| {
                    faults.add("content.payment_data.payee.fiscal_code", must_be(invalid.rule));
                })
                .ok()
        });
        PaymentData {
            amount: self.amount,
            notice_number: self.notice_number,
            invalid_after_due_date: self.invalid_after_due_date,
            payee,
        }
    }
}

impl Extra {
    /// The parts as one JSON object; none when there is nothing in it.
    fn check(self, faults: &mut Faults) -> Option<String> {
        if let Some(prescription) = &self.prescription_data {
            prescription.check(faults);
        }
        if let Some(data) = &self.third_party_data {
            data.check(faults);
        }
        let empty = self.prescription_data.is_none()
            && self.legal_data.is_none()
            && self.eu_covid_cert.is_none()
            && self.third_party_data.is_none();
        if empty { None } else { serde_json::to_string(&self).ok() }
    }
}

impl Prescription {
    fn check(&self, faults: &mut Faults) {
        faults.length("content.prescription_data.nre", &self.nre, 15, 15);
        if let Some(iup) = &self.iup {
            faults.length("content.prescription_data.iup", iup, 1, 16);
        }
        if let Some(code) = &self.prescriber_fiscal_code
            && let Err(invalid) = FiscalCode::parse(code)
        {
            let field = "content.prescription_data.prescriber_fiscal_code";
            faults.add(field, must_be(invalid.rule));
        }
    }
}

impl ThirdPartyData {
    fn check(&self, faults: &mut Faults) {
        for (field, text) in [
            ("content.third_party_data.id", Some(&self.id)),
            ("content.third_party_data.original_sender", self.original_sender.as_ref()),
            ("content.third_party_data.summary", self.summary.as_ref()),
        ] {
            if text.is_some_and(String::is_empty) {
                faults.add(field, "must not be empty");
            }
        }
        if let Some(date) = &self.original_receipt_date {
            instant("content.third_party_data.original_receipt_date", date, faults);
        }
        if let Some(id) = &self.configuration_id
            && let Err(invalid) = MessageId::parse(id)
        {
            faults.add("content.third_party_data.configuration_id", must_be(invalid.rule));
        }
    }
}

fn instant(
    field: &'static str,
    text: &str,
    faults: &mut Faults,
) -> Option<araldo_actors::domain::time::Millis> {
    let instant = utc_instant(text);
    if instant.is_none() {
        faults.add(field, "must be a date and time in UTC, such as 2018-10-13T00:00:00.000Z");
    }
    instant
}
