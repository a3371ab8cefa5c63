//! The registry and the forgetting of claims: what any node writes.

use std::sync::Arc;

use araldo_actors::domain::service::{ApiKey, Organization, Service};
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::StoreError;

use super::group::Group;
use super::key::{self, Registered};
use super::row::{ServiceRow, encode, unreadable};
use super::table::Table;

/// Claims removed in one job: keeps a group small.
pub(super) const FORGET_AT_ONCE: u64 = 4_096;

impl Group {
    pub(super) fn put_organization(
        &mut self,
        organization: &Organization,
    ) -> Result<(), StoreError> {
        let mut row = Vec::new();
        encode(Table::Registry, organization, &mut row)?;
        let at = key::registered(Registered::Organization, organization.id.as_str());
        self.set_registered(at, Some(row));
        Ok(())
    }

    pub(super) fn put_service(&mut self, service: Service) -> Result<(), StoreError> {
        let owner = key::registered(Registered::Organization, service.organization.id.as_str());
        let new_owner =
            if self.is_registered(&owner)? { None } else { Some(service.organization.clone()) };
        let at = key::registered(Registered::Service, service.id.as_str());
        let mut row = Vec::new();
        encode(Table::Registry, &ServiceRow::of(service), &mut row)?;
        if let Some(organization) = new_owner {
            self.put_organization(&organization)?;
        }
        self.set_registered(at, Some(row));
        Ok(())
    }

    pub(super) fn put_key(&mut self, api_key: &ApiKey) -> Result<(), StoreError> {
        let mut row = Vec::new();
        encode(Table::Registry, api_key, &mut row)?;
        self.set_registered(key::registered(Registered::Key, &api_key.id), Some(row));
        Ok(())
    }

    pub(super) fn remove_key(&mut self, id: &str) -> Result<bool, StoreError> {
        let at = key::registered(Registered::Key, id);
        let known = self.is_registered(&at)?;
        if known {
            self.set_registered(at, None);
        }
        Ok(known)
    }

    /// Removes up to [`FORGET_AT_ONCE`] claims made before `before`. Looks at
    /// the table only: to be the one job of its group.
    pub(super) fn forget_claims(&mut self, before: Millis) -> Result<u64, StoreError> {
        let tables = Arc::clone(&self.tables);
        let view = tables.view();
        let (from, to) = (key::claims_from(Millis(0)), key::claims_from(before));
        let mut count = 0;
        for row in view.range(Table::Claims, &from, &to) {
            let (at, _) = row?;
            let damaged = || unreadable(Table::Claims, || "the index by time".to_owned());
            let scope = key::claim_scope(&at).ok_or_else(damaged)?;
            let (made, _) = at[1..].split_first_chunk::<8>().ok_or_else(damaged)?;
            self.remove_claim(&scope, Millis(u64::from_be_bytes(*made)));
            count += 1;
            if count == FORGET_AT_ONCE {
                break;
            }
        }
        Ok(count)
    }
}
