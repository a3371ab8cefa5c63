//! Organisations, services and keys in memory: every request and every turn
//! looks them up.
//!
//! The store is the truth; an operator's write is durable before it shows
//! here. Bounded by the registry itself, whose size the operator API limits
//! (`http.max_services`).

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::{Mutex, MutexGuard};

use crate::domain::id::{OrganizationId, ServiceId};
use crate::domain::service::{ApiKey, Organization, Registry, Service};

#[derive(Default)]
struct Tables {
    organizations: HashMap<OrganizationId, Organization>,
    services: HashMap<ServiceId, Arc<Service>>,
    keys: HashMap<[u8; 32], Arc<ApiKey>>,
}

/// Sizes of the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Organisations.
    pub organizations: usize,
    /// Services.
    pub services: usize,
    /// Keys.
    pub keys: usize,
}

/// The registry in memory, shared by all.
#[derive(Default)]
pub struct Directory(RwLock<Tables>, AtomicU64, Mutex<()>);

impl Directory {
    /// A directory holding what the store had.
    #[must_use]
    pub fn new(registry: Registry) -> Self {
        let directory = Self::default();
        for organization in registry.organizations {
            directory.put_organization(organization);
        }
        for service in registry.services {
            directory.put_service(service);
        }
        for key in registry.keys {
            directory.put_key(key);
        }
        directory
    }

    /// Held over a write of the registry and over reading all of it anew, so that
    /// store and directory see them in the same order.
    pub(crate) async fn writing(&self) -> MutexGuard<'_, ()> {
        self.2.lock().await
    }

    // A panic while the lock is held cannot leave a table half changed: each
    // write is a single insert or remove. So poison is ignored.
    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        let tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        // Under the lock: whoever sees the new number also reads what is new.
        self.1.fetch_add(1, Ordering::Release);
        tables
    }

    /// Another number after each write: whoever made something of the
    /// registry knows by it that it may be out of date. Ask before reading.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.1.load(Ordering::Acquire)
    }

    /// The service called `id`.
    #[must_use]
    pub fn service(&self, id: &ServiceId) -> Option<Arc<Service>> {
        self.read().services.get(id).cloned()
    }

    /// The organisation called `id`.
    #[must_use]
    pub fn organization(&self, id: &OrganizationId) -> Option<Organization> {
        self.read().organizations.get(id).cloned()
    }

    /// The key whose BLAKE3 hash is `hash`.
    #[must_use]
    pub fn key(&self, hash: &[u8; 32]) -> Option<Arc<ApiKey>> {
        self.read().keys.get(hash).cloned()
    }

    /// How many organisations, services and keys there are.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let tables = self.read();
        Counts {
            organizations: tables.organizations.len(),
            services: tables.services.len(),
            keys: tables.keys.len(),
        }
    }

    /// All organisations, by name.
    #[must_use]
    pub fn organizations(&self) -> Vec<Organization> {
        let mut all: Vec<_> = self.read().organizations.values().cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// All services, by identifier.
    #[must_use]
    pub fn services(&self) -> Vec<Arc<Service>> {
        let mut all: Vec<_> = self.read().services.values().cloned().collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// All keys, the oldest first.
    #[must_use]
    pub fn keys(&self) -> Vec<Arc<ApiKey>> {
        let mut all: Vec<_> = self.read().keys.values().cloned().collect();
        all.sort_by(|a, b| a.created_at.cmp(&b.created_at).then_with(|| a.id.cmp(&b.id)));
        all
    }

    /// Takes over what the store has.
    pub(crate) fn replace(&self, registry: Registry) {
        let Tables { organizations, services, keys } =
            Self::new(registry).0.into_inner().unwrap_or_else(PoisonError::into_inner);
        *self.write() = Tables { organizations, services, keys };
    }

    pub(crate) fn put_organization(&self, organization: Organization) {
        let mut tables = self.write();
        for service in tables.services.values_mut() {
            if service.organization.id == organization.id {
                Arc::make_mut(service).organization = organization.clone();
            }
        }
        tables.organizations.insert(organization.id.clone(), organization);
    }

    pub(crate) fn put_service(&self, service: Arc<Service>) {
        self.write().services.insert(service.id.clone(), service);
    }

    pub(crate) fn put_key(&self, key: ApiKey) {
        self.write().keys.insert(key.hash, Arc::new(key));
    }

    pub(crate) fn remove_key(&self, id: &str) {
        self.write().keys.retain(|_, key| key.id != id);
    }
}
