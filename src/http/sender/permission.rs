//! Permissions of a service's keys: IO's groups, and one of ours for alerts.
//!
//! A service holds the groups it was registered with; one registered without
//! naming any holds [`DEFAULT`], what an ordinary production service has.

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::service::Service;

use crate::http::problem::Problem;

/// Write to any citizen.
pub const MESSAGE_WRITE: &str = "ApiMessageWrite";
/// Write to the service's authorised recipients only.
pub const LIMITED_MESSAGE_WRITE: &str = "ApiLimitedMessageWrite";
/// Read the messages of the service.
pub const MESSAGE_READ: &str = "ApiMessageRead";
/// Ask whether a citizen can be written to.
pub const LIMITED_PROFILE_READ: &str = "ApiLimitedProfileRead";
/// As [`LIMITED_PROFILE_READ`], and more where there is more.
pub const FULL_PROFILE_READ: &str = "ApiFullProfileRead";
/// Name a fallback address.
pub const DEFAULT_ADDRESS: &str = "ApiMessageWriteDefaultAddress";
/// Send ADVANCED messages.
pub const WRITE_ADVANCED: &str = "ApiMessageWriteAdvanced";
/// Read the read status of ADVANCED messages.
pub const READ_ADVANCED: &str = "ApiMessageReadAdvanced";
/// Send third-party data.
pub const THIRD_PARTY: &str = "ApiThirdPartyMessageWrite";
/// Name another payee.
pub const PAYEE: &str = "ApiMessageWriteWithPayee";
/// Send EU Covid certificates.
pub const EU_COVID_CERT: &str = "ApiMessageWriteEUCovidCert";
/// Send alerts, and read and stop its own. Not one of IO's.
pub const ALERT_WRITE: &str = "ApiAlertWrite";

/// What a service may do when nothing is said.
pub const DEFAULT: [&str; 3] = [MESSAGE_WRITE, MESSAGE_READ, LIMITED_PROFILE_READ];

/// Every group there is; those of IO that Araldo has no use for are kept and
/// ignored.
pub const ALL: [&str; 25] = [
    MESSAGE_WRITE,
    LIMITED_MESSAGE_WRITE,
    MESSAGE_READ,
    LIMITED_PROFILE_READ,
    FULL_PROFILE_READ,
    DEFAULT_ADDRESS,
    WRITE_ADVANCED,
    READ_ADVANCED,
    THIRD_PARTY,
    PAYEE,
    EU_COVID_CERT,
    ALERT_WRITE,
    "ApiMessageList",
    "ApiProfileWrite",
    "ApiSubscriptionsFeedRead",
    "ApiNewMessageNotify",
    "ApiReminderNotify",
    "ApiServiceRead",
    "ApiServiceWrite",
    "ApiServiceList",
    "ApiDebugRead",
    "ApiInfoRead",
    "ApiNoRateLimit",
    "ApiRateLimit250",
    "ApiAuthenticationClientCertificate",
];

/// 403 unless the service holds `group`.
pub fn require(service: &Service, group: &str) -> Result<(), Problem> {
    if service.has_group(group) { Ok(()) } else { Err(lacks(group)) }
}

/// 403 unless the service may write messages at all.
pub fn require_write(service: &Service) -> Result<(), Problem> {
    if service.has_group(MESSAGE_WRITE) || service.has_group(LIMITED_MESSAGE_WRITE) {
        Ok(())
    } else {
        Err(lacks(MESSAGE_WRITE))
    }
}

/// 403 when the service is limited to some recipients and this is none.
pub fn require_recipient(service: &Service, recipient: &FiscalCode) -> Result<(), Problem> {
    let limited = service.has_group(LIMITED_MESSAGE_WRITE) && !service.has_group(MESSAGE_WRITE);
    if limited && !service.authorized_recipients.contains(recipient) {
        return Err(Problem::forbidden("the service may write to its authorised recipients only"));
    }
    Ok(())
}

fn lacks(group: &str) -> Problem {
    Problem::forbidden(format!("the service lacks the permission {group}"))
}
