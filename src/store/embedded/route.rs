//! Short numbers for routes, so that a due entry does not carry a name.
//!
//! A route gets its number with the first delivery planned for it, in the same
//! group commit; numbers are never reused. Bounded by 65,535 names ever used.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use araldo_actors::domain::id::RouteId;
use araldo_actors::port::store::StoreError;

use super::key;
use super::row::unreadable;
use super::table::{Table, View};

/// The numbers that are durable.
#[derive(Default)]
pub(super) struct Routes(RwLock<HashMap<RouteId, u16>>);

impl Routes {
    /// Reads the numbers given so far.
    pub(super) fn load(view: &View<'_>) -> Result<Self, StoreError> {
        Ok(Self(RwLock::new(view.routes()?.into_iter().collect())))
    }

    /// The number of `route`.
    pub(super) fn number(&self, route: &RouteId) -> Option<u16> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(route).copied()
    }

    /// How many numbers were given.
    pub(super) fn count(&self) -> usize {
        self.0.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Every route with its number.
    pub(super) fn all(&self) -> Vec<(RouteId, u16)> {
        let numbers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        numbers.iter().map(|(route, number)| (route.clone(), *number)).collect()
    }

    /// Adds numbers that have become durable.
    pub(super) fn add(&self, new: impl IntoIterator<Item = (RouteId, u16)>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).extend(new);
    }
}

impl View<'_> {
    /// Every route with its number, as of this view. Rows that hold numbers are
    /// read with these: a group's rows are seen a moment before its numbers are
    /// shared.
    pub(super) fn routes(&self) -> Result<Vec<(RouteId, u16)>, StoreError> {
        let mut numbers = Vec::new();
        for row in self.prefix(Table::Meta, &key::meta_routes()) {
            let (at, name) = row?;
            let number = at.get(1..).and_then(|bytes| bytes.try_into().ok());
            let name = std::str::from_utf8(&name).ok().and_then(|name| RouteId::parse(name).ok());
            let (Some(number), Some(name)) = (number.map(u16::from_be_bytes), name) else {
                return Err(unreadable(Table::Meta, || "a route's number".to_owned()));
            };
            numbers.push((name, number));
        }
        Ok(numbers)
    }
}
