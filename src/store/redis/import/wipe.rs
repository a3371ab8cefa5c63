//! Removing what an unfinished move left: only that, never a store in use.

use araldo_actors::port::store::StoreError;
use redis::Value;

use super::{MOVING, Obstacle, Target, command};
use crate::store::redis::link::Master;
use crate::store::redis::reply;

/// Keys listed at once.
const KEYS: usize = 1_000;

impl Target {
    /// Removes all keys of the store, the row of the format last, if a move into
    /// it began and did not end.
    pub(super) async fn wipe(&mut self) -> Result<(), Obstacle> {
        let [moving, _, _] = self.notes().await.map_err(|error| self.open(error))?;
        if moving.is_none() {
            // Nothing there, or a store in use: what follows tells which.
            return Ok(());
        }
        let refused = |why| self.open(StoreError::Unavailable(why));
        for master in self.store.link.masters().await.map_err(refused)? {
            self.wipe_server(&master).await.map_err(refused)?;
        }
        // From now on there is no store.
        let format = self.store.all.format();
        let fields: [&[u8]; 4] = [MOVING, super::MOVED, b"version", b"partitions"];
        let removed = self.store.write(&self.store.all, command("HDEL", &format, &fields)).await;
        removed.map(drop).map_err(|error| self.open(error))
    }

    async fn wipe_server(&self, master: &Master) -> Result<(), String> {
        let format = self.store.all.format();
        let pattern = format!("{}{{*", format.split_once('{').map_or("", |(begin, _)| begin));
        let mut cursor = "0".to_owned();
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(KEYS);
            let mut answers = master.ask(&[scan]).await?.into_iter();
            let what = "keys";
            let told = |error: StoreError| error.to_string();
            let mut parts = reply::list(reply::next(&mut answers), what).map_err(told)?.into_iter();
            let next = reply::row(reply::next(&mut parts), what).map_err(told)?;
            let keys = reply::members(reply::next(&mut parts), what).map_err(told)?;
            // One by one: they lie in several slots.
            let unlink = |key: &Vec<u8>| {
                let mut unlink = redis::cmd("UNLINK");
                unlink.arg(key);
                unlink
            };
            let others = keys.iter().filter(|key| key.as_slice() != format.as_bytes());
            let removals: Vec<_> = others.map(unlink).collect();
            let answers =
                if removals.is_empty() { Vec::new() } else { master.ask(&removals).await? };
            if let Some(Value::ServerError(error)) =
                answers.iter().find(|answer| matches!(answer, Value::ServerError(_)))
            {
                return Err(format!("it answered {}", error.code()));
            }
            let next = next.and_then(|next| String::from_utf8(next).ok());
            cursor = next.ok_or_else(|| "its list of keys cannot be read".to_owned())?;
            if cursor == "0" {
                return Ok(());
            }
        }
    }
}
