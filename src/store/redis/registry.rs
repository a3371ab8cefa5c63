//! What any node writes and no partition owns: the registry, the books summed,
//! and the forgetting of claims.

use araldo_actors::domain::books::Books;
use araldo_actors::domain::id::{OrganizationId, PartitionId};
use araldo_actors::domain::lane::Lane;
use araldo_actors::domain::service::{ApiKey, Organization, Registry, Service};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::RedisStore;
use super::base::{TRIES, command, overtaken, some_at_once};
use super::batch::{Applied, Batch};
use super::owner::read_books;
use super::{key, reply};
use crate::store::codec::{ServiceRow, decode, encode};

/// Claims removed by one script.
const FORGET_AT_ONCE: usize = 512;
/// Rows of the registry read at once.
const ROWS: usize = 500;

/// Kinds of rows in the registry.
const ORGANIZATION: u8 = 1;
const SERVICE: u8 = 2;
const KEY: u8 = 3;

fn field(kind: u8, id: &str) -> Vec<u8> {
    [&[kind], id.as_bytes()].concat()
}

/// Field and row of a key.
pub(super) fn key_row(api_key: &ApiKey) -> Result<(Vec<u8>, Vec<u8>), StoreError> {
    let mut row = Vec::new();
    encode("registry", api_key, &mut row)?;
    Ok((field(KEY, &api_key.id), row))
}

impl RedisStore {
    /// A row of the registry.
    async fn registered(&self, field: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let look = command("HGET", &self.all.registry(), &[field]);
        reply::row(self.read_one(&self.all, look).await?, "the registry")
    }

    /// Writes a row as it is asked for, and others that must not be there
    /// before. Only over the row that was read, so that a copy that arrives
    /// late changes nothing.
    async fn put_row(
        &self,
        field: &[u8],
        row: &[u8],
        along: Option<(&[u8], &[u8])>,
    ) -> Result<(), StoreError> {
        let registry = self.all.registry();
        for _ in 0..TRIES {
            let held = self.registered(field).await?;
            let mut batch = Batch::new(&self.all);
            batch.check_field(&registry, field, held.as_deref().unwrap_or_default());
            batch.run("HSET", &registry, &[field, row]);
            if let Some((field, row)) = along {
                batch.run("HSETNX", &registry, &[field, row]);
            }
            if let Applied::Done(_) = self.apply(&self.all, batch).await? {
                return Ok(());
            }
        }
        Err(overtaken())
    }

    pub(super) async fn put_organization_row(
        &self,
        organization: &Organization,
    ) -> Result<(), StoreError> {
        let mut row = Vec::new();
        encode("registry", organization, &mut row)?;
        self.put_row(&field(ORGANIZATION, organization.id.as_str()), &row, None).await
    }

    pub(super) async fn put_service_row(&self, service: Service) -> Result<(), StoreError> {
        let (mut row, mut owner) = (Vec::new(), Vec::new());
        encode("registry", &service.organization, &mut owner)?;
        let owner_field = field(ORGANIZATION, service.organization.id.as_str());
        let at = field(SERVICE, service.id.as_str());
        encode("registry", &ServiceRow::of(service), &mut row)?;
        self.put_row(&at, &row, Some((&owner_field, &owner))).await
    }

    pub(super) async fn put_key_row(&self, api_key: &ApiKey) -> Result<(), StoreError> {
        let (field, row) = key_row(api_key)?;
        self.put_row(&field, &row, None).await
    }

    pub(super) async fn remove_key_row(&self, id: &str) -> Result<bool, StoreError> {
        let (registry, field) = (self.all.registry(), field(KEY, id));
        for _ in 0..TRIES {
            let Some(held) = self.registered(&field).await? else {
                self.confirm(&self.all).await?;
                return Ok(false);
            };
            let mut batch = Batch::new(&self.all);
            batch.check_field(&registry, &field, &held);
            batch.run("HDEL", &registry, &[&field]);
            let call = batch.into_call();
            let written = self.write(&self.all, call).await?;
            match Applied::read(reply::next(&mut written.values.into_iter()))? {
                Applied::Done(_) => return Ok(true),
                // An earlier try of this very call removed it.
                _ if written.repeated && self.registered(&field).await?.is_none() => {
                    return Ok(true);
                }
                _ => {}
            }
        }
        Err(overtaken())
    }

    pub(super) async fn read_registry(&self) -> Result<Registry, StoreError> {
        let mut scanned =
            self.scan(&self.all, "HSCAN", &self.all.registry(), ROWS).await?.into_iter();
        let mut rows = BTreeMap::new();
        while let (Some(field), Some(row)) = (scanned.next(), scanned.next()) {
            rows.insert(field, row);
        }
        let mut registry = Registry::default();
        let mut owners: HashMap<OrganizationId, Organization> = HashMap::new();
        // In the order of their kinds: organisations first.
        for (field, row) in rows {
            match field.first() {
                Some(&ORGANIZATION) => {
                    let organization: Organization = read(&row, "an organisation")?;
                    owners.insert(organization.id.clone(), organization.clone());
                    registry.organizations.push(organization);
                }
                Some(&SERVICE) => {
                    let service: ServiceRow = read(&row, "a service")?;
                    let owner = owners.get(&service.organization).cloned();
                    let owner = owner.ok_or_else(|| {
                        let id = &service.organization;
                        let what = format!("organisation {id}, which has a service, is missing");
                        StoreError::Damaged(what)
                    })?;
                    registry.services.push(Arc::new(service.into_service(owner)));
                }
                Some(&KEY) => registry.keys.push(read(&row, "a key")?),
                _ => return Err(reply::unexpected("the registry")),
            }
        }
        Ok(registry)
    }

    /// The books of these partitions, summed. Every message accepted has a place in a journal, so
    /// the journals' ends are their number.
    pub(super) async fn sum_books(&self, of: &[PartitionId]) -> Result<Books, StoreError> {
        let fields: Vec<String> =
            std::iter::once("books".to_owned()).chain(Lane::ALL.map(key::tail)).collect();
        let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
        let fields = fields.as_slice();
        let read = of.iter().map(|id| async move {
            let space = self.check(*id)?;
            let look = command("HMGET", &space.counters(), fields);
            reply::rows(self.read_one(space, look).await?, "books")
        });
        let read = some_at_once(read.collect()).await?;
        let mut sum = Books::default();
        for (partition, rows) in of.iter().zip(read) {
            let mut rows = rows.into_iter();
            sum += read_books(partition.0, rows.next().flatten())?;
            for tail in rows.flatten() {
                let tail = reply::digits(&tail);
                sum.messages.accepted += tail.ok_or_else(|| reply::unexpected("a journal"))?;
            }
        }
        Ok(sum)
    }

    pub(super) async fn forget_before(&self, before: Millis) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        for space in &self.spaces {
            loop {
                let by_time = space.claims_by_time();
                let mut look = redis::cmd("ZRANGE");
                look.arg(&by_time).arg("-inf").arg(format!("({}", key::score(before)));
                look.arg("BYSCORE").arg("LIMIT").arg(0).arg(FORGET_AT_ONCE).arg("WITHSCORES");
                let old = reply::scored(self.read_one(space, look).await?, "claims")?;
                if old.is_empty() {
                    break;
                }
                let mut batch = Batch::new(space);
                for (scope, at) in &old {
                    // Not one that was made again meanwhile.
                    batch.check_member(&by_time, scope, *at);
                }
                let scopes: Vec<&[u8]> = old.iter().map(|(scope, _)| scope.as_slice()).collect();
                batch.run_many("HDEL", &space.claims(), 1, &scopes);
                batch.run_many("ZREM", &by_time, 1, &scopes);
                if let Applied::Done(_) = self.apply(space, batch).await? {
                    forgotten += old.len() as u64;
                }
                if old.len() < FORGET_AT_ONCE {
                    break;
                }
            }
        }
        Ok(forgotten)
    }
}

fn read<T: DeserializeOwned>(row: &[u8], what: &str) -> Result<T, StoreError> {
    decode("registry", row, || what.to_owned())
}
