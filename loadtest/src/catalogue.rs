//! The public bodies and services of the demo: those the founding documents of IO name, local, regional and national.
//!
//! Owns the list, built once from the municipality table and read only. Positions in it are stable for one version of
//! the program; ids (`comune-015146-tari`) are stable for good. Fiscal codes of the bodies are synthetic but well formed.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::population::places;

/// Municipalities with services of their own: the largest ones.
const LARGEST: usize = 24;

/// What a service writes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// Certificati anagrafici.
    RegistryCertificate,
    /// Mensa scolastica.
    SchoolMeals,
    /// Multe.
    TrafficFine,
    /// TARI, the waste tax.
    WasteTax,
    /// Cambiamenti di viabilità.
    RoadChange,
    /// Ticket sanitario.
    HealthTicket,
    /// Prescrizioni.
    Prescription,
    /// Esenzioni.
    HealthExemption,
    /// Referti; secure channels only.
    MedicalReport,
    /// Avvisi of the Agenzia delle Entrate.
    RevenueNotice,
    /// Rimborsi.
    TaxRefund,
    /// Visure catastali.
    CadastralSurvey,
    /// Bollo auto.
    CarTax,
    /// Certificati di proprietà.
    OwnershipCertificate,
    /// Allerte della Protezione Civile.
    CivilProtection,
}

/// Whom a service serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Residents of one municipality (position in the table).
    Municipality(usize),
    /// Residents of a region (ISTAT code).
    Region(String),
    /// Everyone.
    National,
}

/// A public body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Eleven digits with a right check digit.
    pub fiscal_code: String,
    /// Name shown.
    pub name: String,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Stable id.
    pub id: String,
    /// Position of its body in [`Catalogue::organizations`].
    pub organization: usize,
    /// Name shown.
    pub name: &'static str,
    /// What it writes about.
    pub topic: Topic,
    /// Whom it serves.
    pub scope: Scope,
    /// Largest payment it may ask for, euro cents; 0 means none.
    pub max_payment: u64,
}

impl Service {
    /// Whether its messages may leave over secure channels only.
    #[must_use]
    pub const fn require_secure_channels(&self) -> bool {
        matches!(self.topic, Topic::MedicalReport)
    }

    /// The lane its messages take.
    #[must_use]
    pub const fn lane(&self) -> &'static str {
        match self.topic {
            Topic::CivilProtection => "urgent",
            _ => "normal",
        }
    }
}

/// All bodies and services.
pub struct Catalogue {
    organizations: Vec<Organization>,
    services: Vec<Service>,
    by_municipality: HashMap<usize, Vec<usize>>,
    by_region: HashMap<String, Vec<usize>>,
    national: Vec<usize>,
}

/// Topic, slug, name, largest payment in cents.
type Row = (Topic, &'static str, &'static str, u64);

const MUNICIPAL: [Row; 5] = [
    (Topic::RegistryCertificate, "anagrafe", "Certificati anagrafici", 0),
    (Topic::SchoolMeals, "mensa", "Mensa scolastica", 60_000),
    (Topic::TrafficFine, "multe", "Contravvenzioni", 150_000),
    (Topic::WasteTax, "tari", "TARI - Tassa sui rifiuti", 200_000),
    (Topic::RoadChange, "viabilita", "Viabilità e lavori stradali", 0),
];

const REGIONAL: [Row; 4] = [
    (Topic::HealthTicket, "ticket", "Ticket sanitario", 30_000),
    (Topic::Prescription, "prescrizioni", "Prescrizioni mediche", 0),
    (Topic::HealthExemption, "esenzioni", "Esenzioni dal ticket", 0),
    (Topic::MedicalReport, "referti", "Referti online", 0),
];

const REVENUE: [Row; 3] = [
    (Topic::RevenueNotice, "avvisi", "Avvisi e comunicazioni", 1_000_000),
    (Topic::TaxRefund, "rimborsi", "Rimborsi fiscali", 0),
    (Topic::CadastralSurvey, "visure", "Visure catastali", 0),
];

const CAR: [Row; 2] = [
    (Topic::CarTax, "bollo", "Bollo auto", 150_000),
    (Topic::OwnershipCertificate, "certificati", "Certificati di proprietà", 0),
];

const CIVIL: [Row; 1] =
    [(Topic::CivilProtection, "allerte", "Allerte meteo e di protezione civile", 0)];

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(build);

/// The catalogue.
#[must_use]
pub fn catalogue() -> &'static Catalogue {
    &CATALOGUE
}

impl Catalogue {
    /// All bodies.
    #[must_use]
    pub fn organizations(&self) -> &[Organization] {
        &self.organizations
    }

    /// All services.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The body of a service.
    #[must_use]
    pub fn organization_of(&self, service: &Service) -> &Organization {
        &self.organizations[service.organization]
    }

    /// Positions of the services that fit a resident of this municipality: its own, its region's, the national ones.
    pub fn fitting(&self, municipality: usize) -> impl Iterator<Item = usize> + '_ {
        let region = places().all().get(municipality).map(|place| place.region_code.as_str());
        let own = self.by_municipality.get(&municipality);
        let regional = region.and_then(|code| self.by_region.get(code));
        own.into_iter().chain(regional).chain([&self.national]).flatten().copied()
    }

    /// The body of `PUT /api/operator/v1/services/{id}` for a service.
    #[must_use]
    pub fn service_document(&self, service: &Service) -> Value {
        json!({
            "name": service.name,
            "organization_fiscal_code": self.organization_of(service).fiscal_code,
            "require_secure_channels": service.require_secure_channels(),
            "max_allowed_payment_amount": service.max_payment,
            "lane": service.lane(),
        })
    }

    fn add(&mut self, name: String, slug: &str, scope: &Scope, rows: &[Row]) {
        let organization = self.organizations.len();
        let fiscal_code = organization_code(organization);
        self.organizations.push(Organization { fiscal_code, name });
        for (topic, part, name, max_payment) in rows {
            let position = self.services.len();
            self.services.push(Service {
                id: format!("{slug}-{part}"),
                organization,
                name,
                topic: *topic,
                scope: scope.clone(),
                max_payment: *max_payment,
            });
            match scope {
                Scope::Municipality(place) => {
                    self.by_municipality.entry(*place).or_default().push(position)
                }
                Scope::Region(code) => {
                    self.by_region.entry(code.clone()).or_default().push(position)
                }
                Scope::National => self.national.push(position),
            }
        }
    }
}

fn build() -> Catalogue {
    let mut catalogue = Catalogue {
        organizations: Vec::new(),
        services: Vec::new(),
        by_municipality: HashMap::new(),
        by_region: HashMap::new(),
        national: Vec::new(),
    };
    for position in places().largest(LARGEST) {
        let place = &places().all()[position];
        let slug = format!("comune-{}", place.istat_code);
        let name = format!("Comune di {}", place.name);
        catalogue.add(name, &slug, &Scope::Municipality(position), &MUNICIPAL);
    }
    let mut regions: Vec<(&str, &str)> = places()
        .all()
        .iter()
        .map(|place| (place.region_code.as_str(), place.region.as_str()))
        .collect();
    regions.sort_unstable();
    regions.dedup();
    for (code, region) in regions {
        let region = region.split('/').next().unwrap_or(region);
        let scope = Scope::Region(code.to_owned());
        catalogue.add(format!("Regione {region}"), &format!("regione-{code}"), &scope, &REGIONAL);
    }
    catalogue.add(
        "Agenzia delle Entrate".to_owned(),
        "agenzia-entrate",
        &Scope::National,
        &REVENUE,
    );
    catalogue.add("Automobile Club d'Italia".to_owned(), "aci", &Scope::National, &CAR);
    catalogue.add("Protezione Civile".to_owned(), "protezione-civile", &Scope::National, &CIVIL);
    catalogue
}

/// A synthetic fiscal code of a body: ten digits and the check digit of a partita IVA (Luhn's).
fn organization_code(number: usize) -> String {
    let digits = format!("{:010}", 9_700_000_000_u64 + number as u64 * 7);
    let sum: u32 = digits
        .bytes()
        .enumerate()
        .map(|(place, byte)| {
            let digit = u32::from(byte - b'0');
            let doubled = digit * 2;
            match place % 2 {
                0 => digit,
                _ if doubled > 9 => doubled - 9,
                _ => doubled,
            }
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn bodies_and_services_have_ids_of_their_own() {
        let catalogue = catalogue();
        let bodies: HashSet<_> =
            catalogue.organizations().iter().map(|body| &body.fiscal_code).collect();
        let ids: HashSet<_> = catalogue.services().iter().map(|service| &service.id).collect();
        assert_eq!(bodies.len(), catalogue.organizations().len());
        assert_eq!(ids.len(), catalogue.services().len());
        assert_eq!(ids.len(), LARGEST * 5 + 20 * 4 + 6);
        assert!(
            bodies
                .iter()
                .all(|code| code.len() == 11 && code.bytes().all(|byte| byte.is_ascii_digit()))
        );
    }

    #[test]
    fn a_citizen_of_milano_gets_the_services_of_milano_of_lombardia_and_of_the_state() {
        let milano = places().all().iter().position(|place| place.name == "Milano").unwrap();
        let names: HashSet<_> = catalogue()
            .fitting(milano)
            .map(|position| {
                catalogue().organization_of(&catalogue().services()[position]).name.clone()
            })
            .collect();
        let expected = [
            "Comune di Milano",
            "Regione Lombardia",
            "Agenzia delle Entrate",
            "Automobile Club d'Italia",
            "Protezione Civile",
        ];
        assert_eq!(names, expected.map(String::from).into());
    }
}
