//! An alert as it is sent: checked as a whole before anything is stored.
//!
//! Everything that is wrong is said at once, each with its place; of a list of
//! thousands of areas only the first wrong ones are.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use araldo_actors::domain::alert::{AlertText, Audience};
use araldo_actors::domain::area::Area;
use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::time::Millis;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::body::Object;
use crate::http::problem::Problem;
use crate::http::validate::{Faults, must_be, zoned_instant};

/// Most areas of one audience: every municipality of Italy fits (7,900).
pub const MOST_AREAS: usize = 10_000;
/// Wrong areas that are named; more are not.
const MOST_NAMED: usize = 20;
/// How long an alert goes out when nothing is said.
const LASTS: Duration = Duration::from_secs(24 * 3_600);
/// Shortest time it may go out.
const LEAST: Duration = Duration::from_secs(60);
/// Longest time it may go out.
const MOST: Duration = Duration::from_secs(7 * 24 * 3_600);

/// An alert as it is sent.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAlert {
    /// What citizens read, by language: it_IT, en_GB, es_ES, de_DE, fr_FR. At
    /// least one. A citizen gets the first of the preferred languages that
    /// there is.
    #[schema(value_type = BTreeMap<String, AlertTextIn>)]
    texts: Texts,
    /// The language of who prefers none of these. When absent: it_IT if there
    /// is such a text, or the only one there is.
    #[schema(value_type = Option<String>, pattern = "^(it_IT|en_GB|es_ES|de_DE|fr_FR)$")]
    fallback_language: Option<Language>,
    /// Whom it is for.
    #[schema(value_type = AudienceIn)]
    audience: Object<AudienceIn>,
    /// Priority: bulk when absent.
    #[schema(value_type = Option<String>, default = "bulk", pattern = "^(emergency|urgent|normal|bulk)$")]
    lane: Option<Lane>,
    /// No attempt starts at or after this instant (RFC 3339, with a zone): 1
    /// minute to 7 days ahead; 24 hours when absent.
    #[schema(format = DateTime, example = "2026-11-23T12:00:00Z")]
    expires_at: Option<String>,
    /// True: no e-mail, and pushes show nothing of the alert. Overrides the
    /// service's flag.
    require_secure_channels: Option<bool>,
}

/// What a citizen reads, in one language.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = AlertText)]
struct AlertTextIn {
    /// Subject; not blank.
    #[schema(min_length = 10, max_length = 120)]
    subject: String,
    /// Text in Markdown; not blank.
    #[schema(min_length = 80, max_length = 10_000)]
    markdown: String,
}

/// Whom an alert is for: exactly one of both fields. Looked at once for each
/// citizen; who moves or registers afterwards is neither added nor dropped.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Audience)]
pub struct AudienceIn {
    /// True: every citizen.
    everyone: Option<bool>,
    /// Who lives in one of these, by ISTAT code: a municipality (6 digits), a
    /// province (3) or a region (2).
    #[schema(min_items = 1, max_items = 10_000, example = json!(["015146", "015", "03"]))]
    areas: Option<Vec<String>>,
}

/// An audience as it was sent.
#[derive(Serialize)]
pub struct AudienceOut {
    #[serde(skip_serializing_if = "Option::is_none")]
    everyone: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    areas: Option<Vec<String>>,
}

impl From<&Audience> for AudienceOut {
    fn from(audience: &Audience) -> Self {
        match audience {
            Audience::Everyone => Self { everyone: Some(true), areas: None },
            Audience::Areas(areas) => {
                let areas = areas.iter().map(ToString::to_string).collect();
                Self { everyone: None, areas: Some(areas) }
            }
        }
    }
}

/// Texts by language. A language given twice is refused, not overwritten.
///
/// What stands under another name is passed over: such a name may be anything,
/// somebody's too, and there may be thousands, so nothing of it comes back.
#[derive(Debug, Default)]
struct Texts {
    known: BTreeMap<Language, Object<AlertTextIn>>,
    twice: BTreeSet<Language>,
    has_others: bool,
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(TextsVisitor)
    }
}

/// Takes a map; everything else is refused by what [`Visitor`] does unasked.
struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts, A::Error> {
        let mut texts = Texts::default();
        while let Some(name) = map.next_key::<String>()? {
            match language(&name) {
                Some(language) if texts.known.contains_key(&language) => {
                    map.next_value::<IgnoredAny>()?;
                    texts.twice.insert(language);
                }
                Some(language) => {
                    texts.known.insert(language, map.next_value()?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                    texts.has_others = true;
                }
            }
        }
        Ok(texts)
    }
}

/// An alert that passed every check.
#[derive(Debug)]
pub struct CheckedAlert {
    /// The text in each language; at least one.
    pub texts: BTreeMap<Language, AlertText>,
    /// One of them.
    pub fallback: Language,
    /// Whom it is for.
    pub audience: Audience,
    /// Priority.
    pub lane: Lane,
    /// No attempt starts at or after this instant.
    pub expires_at: Millis,
    /// Overrides the service's flag when present.
    pub require_secure_channels: Option<bool>,
}

impl NewAlert {
    /// Checks an alert that arrived at `now`.
    ///
    /// # Errors
    /// 400 that names every field it refuses.
    pub fn check(self, now: Millis) -> Result<CheckedAlert, Problem> {
        let mut faults = Faults::default();
        let texts = self.texts.check(&mut faults);
        let fallback = fallback(self.fallback_language, &texts, &mut faults);
        let audience = self.audience.0.check(&mut faults);
        let expires_at = expires_at(self.expires_at.as_deref(), now, &mut faults);
        let (Some(fallback), Some(audience), Some(expires_at)) = (fallback, audience, expires_at)
        else {
            return Err(faults.or(()).err().unwrap_or_else(|| Problem::invalid("the body")));
        };
        faults.or(CheckedAlert {
            texts,
            fallback,
            audience,
            lane: self.lane.unwrap_or(Lane::Bulk),
            expires_at,
            require_secure_channels: self.require_secure_channels,
        })
    }
}

impl Texts {
    fn check(self, faults: &mut Faults) -> BTreeMap<Language, AlertText> {
        let Self { known, twice, has_others } = self;
        if has_others {
            faults.add("texts", format!("must have these languages only: {}", languages()));
        } else if known.is_empty() {
            faults.add("texts", "must have at least one language");
        }
        for language in twice {
            faults.add(format!("texts.{}", code(language)), "is given twice");
        }
        let check = |(language, Object(text)): (Language, Object<AlertTextIn>)| {
            let AlertTextIn { subject, markdown } = text;
            let name = code(language);
            written(faults, format!("texts.{name}.subject"), &subject, 10, 120);
            written(faults, format!("texts.{name}.markdown"), &markdown, 80, 10_000);
            (language, AlertText { subject, markdown })
        };
        known.into_iter().map(check).collect()
    }
}

/// Checks what citizens read: its length in characters, and that there is
/// something to read.
fn written(faults: &mut Faults, field: String, text: &str, least: usize, most: usize) {
    if !text.is_empty() && text.trim().is_empty() {
        faults.add(field, "must not be blank");
    } else {
        faults.length(field, text, least, most);
    }
}

/// The language called `name` on the wire.
fn language(name: &str) -> Option<Language> {
    Language::ALL.into_iter().find(|language| code(*language) == name)
}

/// Name of a language on the wire.
pub fn code(language: Language) -> &'static str {
    match language {
        Language::Italian => "it_IT",
        Language::English => "en_GB",
        Language::Spanish => "es_ES",
        Language::German => "de_DE",
        Language::French => "fr_FR",
    }
}

fn languages() -> String {
    Language::ALL.map(code).join(", ")
}

/// The language of who prefers none of `texts`.
fn fallback(
    given: Option<Language>,
    texts: &BTreeMap<Language, AlertText>,
    faults: &mut Faults,
) -> Option<Language> {
    let field = "fallback_language";
    let Some(given) = given else {
        let only = texts.keys().next().copied().filter(|_| texts.len() <= 1);
        let chosen =
            only.or_else(|| texts.contains_key(&Language::Italian).then_some(Language::Italian));
        if chosen.is_none() && !texts.is_empty() {
            faults.add(field, "is missing: there are several texts and none in it_IT");
        }
        return chosen;
    };
    if !texts.contains_key(&given) {
        faults.add(field, "must be the language of one of the texts");
    }
    Some(given)
}

impl AudienceIn {
    fn check(self, faults: &mut Faults) -> Option<Audience> {
        match (self.everyone, self.areas) {
            (Some(true), None) => Some(Audience::Everyone),
            (Some(false), None) => {
                faults.add("audience.everyone", "must be true; name areas otherwise");
                None
            }
            (None, Some(codes)) => areas(&codes, faults).map(Audience::Areas),
            (None, None) => {
                faults.add("audience", "must have either everyone or areas");
                None
            }
            (Some(_), Some(_)) => {
                faults.add("audience", "must have either everyone or areas, not both");
                None
            }
        }
    }
}

fn areas(codes: &[String], faults: &mut Faults) -> Option<Vec<Area>> {
    if !(1..=MOST_AREAS).contains(&codes.len()) {
        faults.add("audience.areas", format!("must be 1 to {MOST_AREAS} ISTAT codes"));
        return None;
    }
    let mut areas = Vec::with_capacity(codes.len());
    let mut wrong = 0;
    for (place, text) in codes.iter().enumerate() {
        match Area::parse(text) {
            Ok(area) => areas.push(area),
            Err(invalid) => {
                faults.add(format!("audience.areas[{place}]"), must_be(invalid.rule));
                wrong += 1;
            }
        }
        if wrong == MOST_NAMED {
            faults.add("audience.areas", format!("may have more wrong codes after [{place}]"));
            break;
        }
    }
    (wrong == 0).then_some(areas)
}

fn expires_at(given: Option<&str>, now: Millis, faults: &mut Faults) -> Option<Millis> {
    let field = "expires_at";
    let Some(text) = given else { return Some(now.after(LASTS)) };
    let Some(instant) = zoned_instant(text) else {
        // Both rules: what no calendar holds is refused here too.
        let reason = "must be a date and time with a zone (RFC 3339), 1 minute to 7 days ahead, \
                      such as 2026-11-23T12:00:00Z or 2026-11-23T13:00:00+01:00";
        faults.add(field, reason);
        return None;
    };
    if instant < now.after(LEAST) || instant > now.after(MOST) {
        faults.add(field, "must be 1 minute to 7 days ahead");
        return None;
    }
    Some(instant)
}
