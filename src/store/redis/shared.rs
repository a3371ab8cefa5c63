//! Small values that all nodes share: a secret, registers, buckets of tokens.
//!
//! None of them is part of the store's port: they are for what a fleet agrees
//! on beside the messages (the key that links are sealed with, provider tokens
//! made once for all, provider rates).
//!
//! # Invariants
//!
//! - The secret is written once and never changes.
//! - A register changes only from the value that its writer saw. Values do not
//!   come back (they hold a time, or are random): so a copy of a write that
//!   arrives late changes nothing.
//! - A bucket never gives more than it holds and what its rate brings, whatever
//!   the nodes' clocks say. A draw whose answer is lost is lost: too few attempts
//!   start, never too many.
//!
//! # Crash
//!
//! Secret and registers are as durable as any write. A bucket is not waited
//! for: a failover that loses draws gives at most those tokens again.

use std::time::Duration;

use araldo_actors::port::store::StoreError;

use super::RedisStore;
use super::base::command;
use super::batch::{Applied, Batch};
use super::{reply, script};

/// Longest name of a register or a bucket, in bytes.
const NAME: usize = 128;
/// Longest value of a register, in bytes.
const VALUE: usize = 64 << 10;

/// A register's row: its length goes first, so that no value is the beginning of
/// another's row.
fn row(value: &[u8]) -> Result<Vec<u8>, StoreError> {
    match u32::try_from(value.len()) {
        Ok(length) if value.len() <= VALUE => Ok([&length.to_be_bytes(), value].concat()),
        _ => Err(StoreError::Unavailable("a register holds at most 64 KiB".to_owned())),
    }
}

fn named(name: &str) -> Result<&str, StoreError> {
    if (1..=NAME).contains(&name.len()) {
        Ok(name)
    } else {
        Err(StoreError::Unavailable("a shared value's name has 1 to 128 bytes".to_owned()))
    }
}

impl RedisStore {
    /// The secret that all nodes share: `fresh`, random, if there was none.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`]: ask again.
    /// [`StoreError::Damaged`]: what is stored has not 32 bytes.
    pub async fn shared_secret(&self, fresh: [u8; 32]) -> Result<[u8; 32], StoreError> {
        let (key, what) = (self.all.key("secret"), "the secret of all nodes");
        let mut set = command("SET", &key, &[&fresh]);
        set.arg("NX").arg("GET");
        let written = self.write(&self.all, set).await?;
        match reply::row(reply::next(&mut written.values.into_iter()), what)? {
            None => Ok(fresh),
            Some(held) => held.try_into().map_err(|_| reply::unexpected(what)),
        }
    }

    /// What a register holds; none: it was never written.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Damaged`].
    pub async fn register(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let look = command("HGET", &self.all.key("registers"), &[named(name)?.as_bytes()]);
        let found = reply::row(self.read_one(&self.all, look).await?, "a register")?;
        let value = |row: Vec<u8>| {
            let (_, value) = row.split_first_chunk::<4>()?;
            Some(value.to_vec())
        };
        found.map(|row| value(row).ok_or_else(|| reply::unexpected("a register"))).transpose()
    }

    /// Writes a register that holds `expected` (none: that was never written),
    /// of at most 64 KiB. Whether it did: if not, somebody else wrote it, and it
    /// is to be read again. A value must never be written twice.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was written, or a name or value is
    /// too long; [`StoreError::Unconfirmed`].
    pub async fn swap_register(
        &self,
        name: &str,
        expected: Option<&[u8]>,
        new: &[u8],
    ) -> Result<bool, StoreError> {
        let (key, field) = (self.all.key("registers"), named(name)?.as_bytes());
        let held = expected.map(row).transpose()?.unwrap_or_default();
        let mut batch = Batch::new(&self.all);
        batch.check_field(&key, field, &held);
        batch.run("HSET", &key, &[field, &row(new)?]);
        let written = self.write(&self.all, batch.into_call()).await?;
        match Applied::read(reply::next(&mut written.values.into_iter()))? {
            Applied::Done(_) => Ok(true),
            // By an earlier try of this very call, perhaps.
            _ if written.repeated => Ok(self.register(name).await?.as_deref() == Some(new)),
            _ => Ok(false),
        }
    }

    /// Draws up to `want` tokens from a bucket of all nodes that holds at most
    /// `burst` (at least one) and gets `per_second` a second, by Redis' clock;
    /// a bucket never drawn from is full. Returns how many were drawn and how
    /// long until there is one more. With a rate of 0 there is no limit.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Unconfirmed`]: none may be
    /// used.
    pub async fn draw(
        &self,
        name: &str,
        per_second: u32,
        burst: u32,
        want: u32,
    ) -> Result<(u32, Duration), StoreError> {
        if per_second == 0 {
            return Ok((want, Duration::ZERO));
        }
        let bucket = self.all.key(&format!("bucket:{}", named(name)?));
        let mut call = script::call(&script::DRAW, &[bucket]);
        call.arg(per_second).arg(burst.max(1)).arg(want);
        let what = "the answer of a bucket";
        let mut values = self.write_quickly(&self.all, vec![call]).await?;
        let mut parts = reply::list(reply::next(&mut values), what)?.into_iter();
        let mut number = || reply::count(reply::next(&mut parts), what);
        let drawn = u32::try_from(number()?).map_err(|_| reply::unexpected(what))?;
        Ok((drawn, Duration::from_micros(number()?)))
    }
}
