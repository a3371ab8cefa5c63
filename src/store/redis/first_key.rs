//! The first key of an installation: one, however many nodes start at once.
//!
//! Which key was the first is noted beside the format, in the same batch that
//! writes the key, and only over the note that was read before the registry
//! was: of two nodes that find no key, one writes.

use araldo_actors::domain::service::{ApiKey, Role};
use araldo_actors::port::store::StoreError;

use super::RedisStore;
use super::base::{TRIES, command, overtaken};
use super::batch::{Applied, Batch};
use super::registry::key_row;
use super::reply;

/// Field of the note in the row of the format.
const NOTE: &[u8] = b"first_key";

impl RedisStore {
    /// Writes `key` unless the registry has a key for `role`. Returns whether
    /// it was written; if not, another node's was.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], [`StoreError::Unconfirmed`] (repeat it with
    /// the same key) or [`StoreError::Damaged`].
    pub async fn put_first_key(&self, key: &ApiKey, role: Role) -> Result<bool, StoreError> {
        let (format, registry) = (self.all.format(), self.all.registry());
        let (field, row) = key_row(key)?;
        for _ in 0..TRIES {
            let look = command("HGET", &format, &[NOTE]);
            let note = reply::row(self.read_one(&self.all, look).await?, "the first key")?;
            // Written by an earlier try, whose answer was lost.
            if note.as_deref() == Some(key.id.as_bytes()) {
                self.confirm(&self.all).await?;
                return Ok(true);
            }
            if self.read_registry().await?.keys.iter().any(|known| known.role == role) {
                self.confirm(&self.all).await?;
                return Ok(false);
            }
            let mut batch = Batch::new(&self.all);
            batch.check_field(&format, NOTE, note.as_deref().unwrap_or_default());
            batch.run("HSET", &format, &[NOTE, key.id.as_bytes()]);
            batch.run("HSET", &registry, &[&field, &row]);
            if let Applied::Done(_) = self.apply(&self.all, batch).await? {
                return Ok(true);
            }
        }
        Err(overtaken())
    }
}
