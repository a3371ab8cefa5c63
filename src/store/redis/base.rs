//! Asking Redis about one partition: what every operation is made of.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use redis::{Cmd, Value};

use araldo_actors::domain::citizen::Citizen;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::{AddressId, PartitionId};
use araldo_actors::port::store::StoreError;

use super::RedisStore;
use super::batch::{Applied, Batch};
use super::key::Space;
use super::link::{Ask, Run, Written};
use super::{deadline, reply, row, script};

/// Questions to several partitions at once.
pub(super) const AT_ONCE: usize = 16;

/// Tries of a write that others' writes came before.
pub(super) const TRIES: usize = 16;

/// Looks at rows that do not fit each other before they count as damaged.
const LOOKS: usize = 3;

/// Fiscal codes looked up at once.
const CODES: usize = 256;

/// A citizen with the ordinal.
pub(super) type Numbered = (u32, Citizen);

/// A command: its name, its key, what follows.
pub(super) fn command(name: &str, key: &str, arguments: &[&[u8]]) -> Cmd {
    let mut command = redis::cmd(name);
    command.arg(key).arg(arguments);
    command
}

/// Something to ask of a space.
pub(super) fn asked(space: &Space, commands: Vec<Cmd>, confirmed: bool) -> Ask {
    let (slot, pulse) = (space.slot(), space.pulse());
    Ask { slot, commands, pulse, confirmed, run: None, deadline: deadline::of_operation() }
}

/// The error of a write that others' writes kept coming before.
pub(super) fn overtaken() -> StoreError {
    StoreError::Unavailable("others keep changing the same rows".to_owned())
}

/// Waits for all, [`AT_ONCE`] at a time; the answers in their order, or the
/// first error.
pub(super) async fn some_at_once<T, F>(asks: Vec<F>) -> Result<Vec<T>, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    stream::iter(asks).buffered(AT_ONCE).try_collect().await
}

/// Looks again when rows did not fit each other: an erasure between two reads
/// makes them look damaged, once.
pub(super) async fn look_again<T, F>(mut look: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    for _ in 1..LOOKS {
        match look().await {
            Err(StoreError::Damaged(_)) => {}
            found => return found,
        }
    }
    look().await
}

impl RedisStore {
    /// The rows of a partition known to exist.
    pub(super) fn space(&self, partition: u16) -> &Space {
        &self.spaces[usize::from(partition)]
    }

    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.spaces.len()).unwrap_or(u16::MAX)
    }

    /// The partition of a citizen.
    pub(super) fn home(&self, code: &FiscalCode) -> u16 {
        PartitionId::of(code, self.count()).0
    }

    /// The rows of a citizen's partition.
    pub(super) fn at_home(&self, code: &FiscalCode) -> &Space {
        self.space(self.home(code))
    }

    /// The partition that keeps what is found by a hash.
    pub(super) fn by_hash(&self, hash: &[u8]) -> &Space {
        let number = hash.iter().take(8).fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        let partition = u16::try_from(number % u64::from(self.count())).unwrap_or(0);
        self.space(partition)
    }

    /// The partition that keeps who validated an address.
    pub(super) fn of_address(&self, address: AddressId) -> &Space {
        self.by_hash(&address.0)
    }

    pub(super) fn check(&self, partition: PartitionId) -> Result<&Space, StoreError> {
        self.spaces
            .get(usize::from(partition.0))
            .ok_or_else(|| StoreError::Unavailable(format!("there is no partition {partition}")))
    }

    /// Reads; one answer for each command.
    pub(super) async fn read(
        &self,
        space: &Space,
        commands: Vec<Cmd>,
    ) -> Result<std::vec::IntoIter<Value>, StoreError> {
        Ok(self.link.read(asked(space, commands, false)).await?.values.into_iter())
    }

    /// Reads with one command.
    pub(super) async fn read_one(&self, space: &Space, one: Cmd) -> Result<Value, StoreError> {
        Ok(reply::next(&mut self.read(space, vec![one]).await?))
    }

    /// Reads with one command, from one run alone if that is given; also who
    /// answered.
    pub(super) async fn read_of(
        &self,
        space: &Space,
        one: Cmd,
        run: Option<Run>,
    ) -> Result<(Value, Run), StoreError> {
        let ask = Ask { run, ..asked(space, vec![one], false) };
        let Written { values, run, .. } = self.link.read(ask).await?;
        Ok((reply::next(&mut values.into_iter()), run))
    }

    /// Waits until the replicas that count have all that was written so far:
    /// goes before an answer that rests on what was read, since that may be what
    /// an earlier try wrote and no replica confirmed.
    pub(super) async fn confirm(&self, space: &Space) -> Result<(), StoreError> {
        if !self.link.counts() {
            return Ok(());
        }
        self.write(space, command("SET", &space.pulse(), &[b"1"])).await.map(drop)
    }

    /// Writes with one command.
    pub(super) async fn write(&self, space: &Space, one: Cmd) -> Result<Written, StoreError> {
        self.link.write(asked(space, vec![one], true)).await
    }

    /// Writes what need not outlive a failover: replicas are not waited for.
    pub(super) async fn write_quickly(
        &self,
        space: &Space,
        commands: Vec<Cmd>,
    ) -> Result<std::vec::IntoIter<Value>, StoreError> {
        Ok(self.link.write(asked(space, commands, false)).await?.values.into_iter())
    }

    /// Writes a batch.
    pub(super) async fn apply(&self, space: &Space, batch: Batch) -> Result<Applied, StoreError> {
        let Written { values, .. } = self.write(space, batch.into_call()).await?;
        Applied::read(reply::next(&mut values.into_iter()))
    }

    /// Writes a step of an owner, to the run that it is of alone.
    pub(super) async fn apply_step(
        &self,
        space: &Space,
        batch: Batch,
        run: Run,
    ) -> Result<Applied, StoreError> {
        let ask = Ask { run: Some(run), ..asked(space, vec![batch.into_call()], true) };
        let Written { values, .. } = self.link.write(ask).await?;
        Applied::read(reply::next(&mut values.into_iter()))
    }

    /// Writes a batch without waiting for it.
    pub(super) fn apply_later(&self, space: &Space, batch: Batch) {
        self.link.write_later(asked(space, vec![batch.into_call()], true));
    }

    /// Asks every partition, [`AT_ONCE`] at a time; the answers in their order.
    pub(super) async fn everywhere<'a, T, F>(
        &'a self,
        ask: impl FnMut(&'a Space) -> F,
    ) -> Result<Vec<T>, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        some_at_once(self.spaces.iter().map(ask).collect()).await
    }

    /// The ordinal of a citizen.
    pub(super) async fn ordinal(&self, code: &FiscalCode) -> Result<Option<u32>, StoreError> {
        let space = self.at_home(code);
        let found = command("HGET", &space.index(), &[code.as_bytes()]);
        let found = reply::row(self.read_one(space, found).await?, "an ordinal")?;
        found.map(|row| row::read_ordinal(&row)).transpose()
    }

    /// A citizen with the ordinal.
    pub(super) async fn resident(&self, code: &FiscalCode) -> Result<Option<Numbered>, StoreError> {
        let found = self.residents(self.home(code), std::slice::from_ref(code)).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Citizens of one partition, in the order of `codes`.
    pub(super) async fn residents(
        &self,
        partition: u16,
        codes: &[FiscalCode],
    ) -> Result<Vec<Option<Numbered>>, StoreError> {
        let space = self.space(partition);
        let mut found = Vec::with_capacity(codes.len());
        for some in codes.chunks(CODES) {
            let mut call = script::call(&script::CITIZENS, &[space.index(), space.citizens()]);
            for code in some {
                call.arg(code.as_bytes());
            }
            let mut values = self.read(space, vec![call]).await?;
            let mut parts = reply::rows(reply::next(&mut values), "citizens")?.into_iter();
            for _ in some {
                found.push(self.numbered(
                    partition,
                    parts.next().flatten(),
                    parts.next().flatten(),
                )?);
            }
        }
        Ok(found)
    }

    /// A citizen as scripts answer one: ordinal and record.
    pub(super) fn numbered(
        &self,
        partition: u16,
        ordinal: Option<Vec<u8>>,
        record: Option<Vec<u8>>,
    ) -> Result<Option<Numbered>, StoreError> {
        let Some(ordinal) = ordinal else { return Ok(None) };
        let ordinal = row::read_ordinal(&ordinal)?;
        let place = || format!("partition {partition}, citizen number {ordinal}");
        let record =
            record.ok_or_else(|| StoreError::Damaged(format!("{} is missing", place())))?;
        Ok(Some((ordinal, row::read_citizen(&record, place)?)))
    }

    /// Citizens by ordinal; none: erased, or not there yet.
    pub(super) async fn by_ordinal(
        &self,
        partition: u16,
        ordinals: &[u32],
    ) -> Result<Vec<Option<Citizen>>, StoreError> {
        if ordinals.is_empty() {
            return Ok(Vec::new());
        }
        let space = self.space(partition);
        let mut look = redis::cmd("HMGET");
        look.arg(space.citizens());
        for ordinal in ordinals {
            look.arg(ordinal.to_be_bytes().as_slice());
        }
        let rows = reply::rows(self.read_one(space, look).await?, "citizens")?;
        ordinals
            .iter()
            .zip(rows)
            .map(|(ordinal, row)| {
                let place = || format!("partition {partition}, citizen number {ordinal}");
                row.map(|row| row::read_citizen(&row, place)).transpose()
            })
            .collect()
    }
}
