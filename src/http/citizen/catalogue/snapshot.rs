//! The registry as the catalogue shows it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::domain::id::{OrganizationId, ServiceId};
use araldo_actors::domain::service::Service;
use araldo_actors::engine::Engine;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::http::citizen::fold::{Words, fold};
use crate::http::problem::{Kind, Problem};

/// A snapshot is not made anew before it is this old.
const LEAST_AGE: Duration = Duration::from_secs(1);

/// The newest snapshot.
#[derive(Default)]
pub struct Catalogue(Mutex<Option<Made>>);

struct Made {
    generation: u64,
    at: Instant,
    snapshot: Arc<Snapshot>,
}

/// Services that are switched on, by institution and name.
#[derive(Default)]
pub struct Snapshot {
    institutions: Vec<Institution>,
    /// Those of one institution stand together.
    services: Vec<Entry>,
    by_institution: HashMap<OrganizationId, usize>,
    by_service: HashMap<ServiceId, usize>,
}

/// An institution.
pub struct Institution {
    /// Its fiscal code.
    pub id: OrganizationId,
    /// Its name.
    pub name: String,
    folded: String,
    /// Its part of the services.
    services: std::ops::Range<usize>,
}

struct Entry {
    service: Arc<Service>,
    folded: String,
    /// Index of the institution.
    institution: usize,
}

impl Catalogue {
    /// The registry as it is now, give or take a second.
    ///
    /// # Errors
    /// 500, when making it failed.
    pub async fn now(&self, engine: &Engine) -> Result<Arc<Snapshot>, Problem> {
        // Whoever comes while one is being made waits for it.
        let mut made = self.0.lock().await;
        let generation = engine.directory().generation();
        if let Some(made) = made.as_ref()
            && (made.generation == generation || made.at.elapsed() < LEAST_AGE)
        {
            return Ok(Arc::clone(&made.snapshot));
        }
        let engine = engine.clone();
        let making =
            tokio::task::spawn_blocking(move || Snapshot::new(engine.directory().services()));
        let failed = |_| Problem::new(Kind::Internal, "the catalogue cannot be made");
        let snapshot = Arc::new(making.await.map_err(failed)?);
        *made = Some(Made { generation, at: Instant::now(), snapshot: Arc::clone(&snapshot) });
        Ok(snapshot)
    }
}

impl Snapshot {
    /// The snapshot of `all` services.
    fn new(all: Vec<Arc<Service>>) -> Self {
        let mut all: Vec<_> = all
            .into_iter()
            .filter(|service| service.enabled)
            .map(|service| (fold(&service.organization.name), fold(&service.name), service))
            .collect();
        all.sort_by(|a, b| {
            let by_institution =
                a.0.cmp(&b.0).then_with(|| a.2.organization.id.cmp(&b.2.organization.id));
            by_institution.then_with(|| a.1.cmp(&b.1)).then_with(|| a.2.id.cmp(&b.2.id))
        });
        let mut snapshot = Self::default();
        for (index, (organization, folded, service)) in all.into_iter().enumerate() {
            let institution = snapshot.institution(organization, &service, index);
            snapshot.by_service.insert(service.id.clone(), index);
            snapshot.services.push(Entry { service, folded, institution });
        }
        snapshot
    }

    /// The institution of the service at `index`, new when it is its first.
    fn institution(&mut self, folded: String, service: &Service, index: usize) -> usize {
        let organization = &service.organization;
        let last = self.institutions.len();
        if let Some(known) = self.institutions.last_mut()
            && known.id == organization.id
        {
            known.services.end = index + 1;
            return last - 1;
        }
        self.by_institution.insert(organization.id.clone(), last);
        self.institutions.push(Institution {
            id: organization.id.clone(),
            name: organization.name.clone(),
            folded,
            services: index..index + 1,
        });
        last
    }

    /// The institutions whose name has `words`, by name.
    pub fn institutions<'a>(&'a self, words: &'a Words) -> impl Iterator<Item = &'a Institution> {
        self.institutions.iter().filter(|known| words.occur_in(&[&known.folded]))
    }

    /// The services of an institution, by name.
    pub fn services_of(&self, institution: &str) -> Vec<&Arc<Service>> {
        let id = OrganizationId::parse(institution).ok();
        let known = id.and_then(|id| self.by_institution.get(&id));
        let range = known.map_or(0..0, |known| self.institutions[*known].services.clone());
        self.services[range].iter().map(|entry| &entry.service).collect()
    }

    /// The place of a service among all.
    pub fn place(&self, service: &str) -> Option<usize> {
        ServiceId::parse(service).ok().and_then(|id| self.by_service.get(&id).copied())
    }

    /// The services from place `start` on whose name or institution has
    /// `words`.
    pub fn services<'a>(
        &'a self,
        start: usize,
        words: &'a Words,
    ) -> impl Iterator<Item = &'a Arc<Service>> {
        self.services[start.min(self.services.len())..]
            .iter()
            .filter(|entry| {
                let institution = &self.institutions[entry.institution].folded;
                words.occur_in(&[&entry.folded, institution])
            })
            .map(|entry| &entry.service)
    }
}
