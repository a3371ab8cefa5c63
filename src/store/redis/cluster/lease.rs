//! Leases: who may work on a partition.
//!
//! A lease is a key in the partition's slot that holds the incarnation of its
//! holder and expires. It is taken by the script that raises the epoch
//! (`script/open.lua`), renewed and given back by whoever has the newest token.
//! So a lease never outlives its token, and a token that nobody else followed may
//! take its lapsed lease again.
//!
//! Writes are waited for like all others: a lease of which a replica does not
//! know would be given twice after a failover, and both holders would attempt the
//! same deliveries until the older one asks again.

use futures_util::stream::{self, StreamExt};
use redis::Value;

use araldo_actors::domain::id::{Epoch, PartitionId};
use araldo_actors::port::store::StoreError;

use crate::store::redis::RedisStore;
use crate::store::redis::link::Run;
use crate::store::redis::{reply, script};

/// Leases renewed at once: those that go to one server share its pipelines.
const RENEWED_AT_ONCE: usize = 256;

impl RedisStore {
    /// Milliseconds of a lease, as scripts read it; 0: there are none.
    fn lease_ms(&self) -> u64 {
        u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX)
    }

    fn incarnation(&self) -> String {
        format!("{:032x}", self.incarnation)
    }

    /// Raises the epoch of a partition, and takes its lease; also which run of
    /// the server gave it.
    ///
    /// # Errors
    /// [`StoreError::Leased`]: another process holds it.
    pub(in crate::store::redis) async fn acquire(
        &self,
        id: PartitionId,
        lowest: u64,
    ) -> Result<(u64, Run), StoreError> {
        let space = self.check(id)?;
        let number = self.openings.fetch_add(1, std::sync::atomic::Ordering::AcqRel) + 1;
        let mut call = script::call(&script::OPEN, &[space.counters(), space.lease()]);
        call.arg(lowest).arg(self.incarnation()).arg(self.lease_ms());
        call.arg(&self.instance).arg(number);
        let written = self.write(space, call).await?;
        let what = "the answer to a takeover";
        let answer = reply::list(reply::next(&mut written.values.into_iter()), what)?;
        let mut parts = answer.into_iter();
        match reply::count(reply::next(&mut parts), what)? {
            0 => Ok((reply::count(reply::next(&mut parts), what)?, written.run)),
            1 => Err(StoreError::Leased(id)),
            2 => Err(StoreError::Unavailable("another takeover came before".to_owned())),
            _ => Err(reply::unexpected(what)),
        }
    }

    pub(super) async fn renew_leases(
        &self,
        held: &[(PartitionId, Epoch)],
    ) -> Vec<Result<bool, StoreError>> {
        let renewals = held.iter().map(|(id, epoch)| self.renew_lease(*id, *epoch));
        // Collected first: the futures borrow from an iterator otherwise.
        let renewals: Vec<_> = renewals.collect();
        stream::iter(renewals).buffered(RENEWED_AT_ONCE).collect().await
    }

    pub(in crate::store::redis) async fn renew_lease(
        &self,
        id: PartitionId,
        epoch: Epoch,
    ) -> Result<bool, StoreError> {
        let space = self.check(id)?;
        let mut call = script::call(&script::RENEW, &[space.counters(), space.lease()]);
        call.arg(self.token(epoch)).arg(epoch.0).arg(self.incarnation()).arg(self.lease_ms());
        let written = self.write(space, call).await?;
        let held = is_so(reply::next(&mut written.values.into_iter()))?;
        if !held {
            self.forget(id, epoch);
        }
        Ok(held)
    }

    /// Frees what is remembered of a partition that is another's now; while a
    /// step is under way that finds out by itself.
    fn forget(&self, id: PartitionId, epoch: Epoch) {
        if let Ok(mut memory) = self.owners[usize::from(id.0)].try_lock() {
            memory.owned.take_if(|owned| owned.epoch == epoch);
        }
    }

    /// Whoever holds no lease under this epoch any more has nothing to give
    /// back.
    pub(super) async fn release_lease(
        &self,
        id: PartitionId,
        epoch: Epoch,
    ) -> Result<(), StoreError> {
        self.give_lease_back(id, epoch).await?;
        let mut memory = self.owners[usize::from(id.0)].lock().await;
        memory.owned.take_if(|owned| owned.epoch == epoch);
        Ok(())
    }

    /// As [`release_lease`](Self::release_lease), with nothing forgotten.
    pub(in crate::store::redis) async fn give_lease_back(
        &self,
        id: PartitionId,
        epoch: Epoch,
    ) -> Result<(), StoreError> {
        let space = self.check(id)?;
        let mut call = script::call(&script::RELEASE, &[space.counters(), space.lease()]);
        call.arg(self.token(epoch)).arg(epoch.0).arg(self.incarnation());
        self.write(space, call).await.map(drop)
    }
}

fn is_so(value: Value) -> Result<bool, StoreError> {
    Ok(reply::count(value, "the answer to a renewal")? == 1)
}
