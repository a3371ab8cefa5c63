//! `NewMessage` of IO's contract: checked as a whole before anything is
//! stored.
//!
//! Order of refusals: form (400, all fields at once), then what the service
//! may not do (403).

use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::message::{Content, FeatureLevel};
use araldo_actors::domain::service::Service;
use serde::Deserialize;
use utoipa::ToSchema;

use super::content::ContentIn;
use super::permission;
use crate::http::body::Object;
use crate::http::problem::Problem;
use crate::http::validate::{Faults, must_be};

/// Shortest time to live and the default, seconds.
const LEAST_TTL: u64 = 3_600;
/// Longest time to live, seconds.
const MOST_TTL: u64 = 604_800;

/// A message as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewMessage {
    /// Seconds for which delivery is tried.
    #[schema(minimum = 3_600, maximum = 604_800, default = 3_600)]
    time_to_live: Option<u64>,
    /// What the citizen reads.
    #[schema(value_type = ContentIn)]
    content: Object<ContentIn>,
    /// A fallback address; accepted from who may name one, and not used.
    #[schema(value_type = Option<DefaultAddresses>)]
    default_addresses: Option<Object<DefaultAddresses>>,
    /// The citizen; only where the path does not name one.
    #[schema(example = "SPNDNL80R13C555X")]
    fiscal_code: Option<String>,
    /// Level of the features asked for.
    feature_level_type: Option<FeatureLevelType>,
}

/// A fallback address.
#[derive(Debug, Deserialize, ToSchema)]
struct DefaultAddresses {
    #[schema(format = "email")]
    email: Option<String>,
}

/// Level of the features asked for.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
enum FeatureLevelType {
    Standard,
    Advanced,
}

/// A message that passed every check.
#[derive(Debug)]
pub struct Checked {
    /// The citizen.
    pub recipient: FiscalCode,
    /// Seconds.
    pub time_to_live: u32,
    /// Level of features.
    pub feature_level: FeatureLevel,
    /// What the citizen reads.
    pub content: Content,
}

/// What of the content needs a permission.
struct Features {
    payee: bool,
    eu_covid_cert: bool,
    third_party: Option<ThirdParty>,
}

struct ThirdParty {
    attachments: bool,
    configured: bool,
}

impl NewMessage {
    /// Checks the message of `service`, whose path names `in_path`.
    pub fn check(self, service: &Service, in_path: Option<FiscalCode>) -> Result<Checked, Problem> {
        let mut faults = Faults::default();
        let recipient = recipient(self.fiscal_code.as_deref(), in_path, &mut faults);
        let time_to_live = time_to_live(self.time_to_live, &mut faults);
        let feature_level = match self.feature_level_type {
            Some(FeatureLevelType::Advanced) => FeatureLevel::Advanced,
            Some(FeatureLevelType::Standard) | None => FeatureLevel::Standard,
        };
        if let Some(Object(DefaultAddresses { email: Some(email) })) = &self.default_addresses
            && !email.contains('@')
        {
            faults.add("default_addresses.email", "must be an e-mail address");
        }
        let features = Features::of(&self.content);
        let content = self.content.0.check(service, &mut faults);
        let (Some(recipient), Some(time_to_live)) = (recipient, time_to_live) else {
            return Err(faults.or(()).err().unwrap_or_else(|| Problem::invalid("the body")));
        };
        faults.or(())?;
        permission::require_recipient(service, &recipient)?;
        if self.default_addresses.is_some() {
            permission::require(service, permission::DEFAULT_ADDRESS)?;
        }
        features.check(service, feature_level, in_path.is_some())?;
        Ok(Checked { recipient, time_to_live, feature_level, content })
    }
}

impl Features {
    fn of(content: &ContentIn) -> Self {
        Self {
            payee: content.payment_data.as_ref().is_some_and(|payment| payment.payee.is_some()),
            eu_covid_cert: content.eu_covid_cert.is_some(),
            third_party: content.third_party_data.as_ref().map(|data| ThirdParty {
                attachments: data.has_attachments,
                configured: data.configuration_id.is_some(),
            }),
        }
    }

    fn check(
        &self,
        service: &Service,
        level: FeatureLevel,
        code_in_path: bool,
    ) -> Result<(), Problem> {
        if level == FeatureLevel::Advanced {
            permission::require(service, permission::WRITE_ADVANCED)?;
        }
        if self.payee {
            permission::require(service, permission::PAYEE)?;
        }
        if self.eu_covid_cert {
            permission::require(service, permission::EU_COVID_CERT)?;
            if code_in_path {
                return Err(Problem::forbidden(
                    "EU Covid certificates are sent with the fiscal code in the body only",
                ));
            }
        }
        let Some(third_party) = &self.third_party else { return Ok(()) };
        permission::require(service, permission::THIRD_PARTY)?;
        if !third_party.configured {
            return Err(Problem::forbidden("third_party_data needs a configuration_id"));
        }
        if third_party.attachments && level != FeatureLevel::Advanced {
            return Err(Problem::forbidden("attachments need an ADVANCED message"));
        }
        Ok(())
    }
}

/// The one fiscal code: in the path or in the body, never both.
fn recipient(
    in_body: Option<&str>,
    in_path: Option<FiscalCode>,
    faults: &mut Faults,
) -> Option<FiscalCode> {
    match (in_path, in_body) {
        (Some(code), None) => Some(code),
        (None, Some(text)) => FiscalCode::parse(text)
            .map_err(|invalid| faults.add("fiscal_code", must_be(invalid.rule)))
            .ok(),
        (Some(_), Some(_)) => {
            faults.add("fiscal_code", "must not be given when the path names the citizen");
            None
        }
        (None, None) => {
            faults.add("fiscal_code", "is missing, in the path as in the body");
            None
        }
    }
}

fn time_to_live(given: Option<u64>, faults: &mut Faults) -> Option<u32> {
    let seconds = given.unwrap_or(LEAST_TTL);
    if (LEAST_TTL..=MOST_TTL).contains(&seconds) {
        return u32::try_from(seconds).ok();
    }
    faults.add("time_to_live", "must be 3600 to 604800 seconds");
    None
}

#[cfg(test)]
mod tests;
