//! Acceptance: the append to a journal, and the claim that goes before it.
//!
//! A claim lies in the partition of its own hash, the message in its
//! recipient's, and no script reaches both. So a claim is made first, as
//! *pending*, then the message is appended (once for its id), then the claim is
//! *done*. Whoever finds a pending claim carries its message to the end: that
//! is what a retry does when the process that made it was killed in between.
//! Whoever finds one that is done writes nothing, so that a message erased
//! meanwhile does not come back.

use redis::Value;

use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::message::Message;
use araldo_actors::domain::time::Millis;
use araldo_actors::port::store::{Acceptance, IdempotencyClaim, StoreError};

use super::RedisStore;
use super::base::{TRIES, command, overtaken};
use super::batch::{Applied, Batch};
use super::link::Written;
use super::{key, reply, row, script};
use crate::store::claimed_id;
use crate::store::codec::{ClaimRow, decode, encode};

const PENDING: u8 = 0;
const DONE: u8 = 1;

/// What a claim is for. Keys of both kinds share one table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Message = 0,
    Alert = 2,
}

/// What a claim says of a request.
pub(super) enum Claim {
    /// This is its first use: carry it out under this id, as of then.
    First { message: MessageId, at: Millis },
    /// It was made before, and perhaps not carried out: the same.
    Pending { message: MessageId, at: Millis },
    /// It was carried out.
    Done(MessageId),
    /// It was made for another body.
    Other,
}

/// The row of a claim that was carried out.
pub(super) fn done_claim(kind: Kind, claim: &ClaimRow) -> Result<Vec<u8>, StoreError> {
    claim_row(kind, DONE, claim)
}

fn claim_row(kind: Kind, state: u8, claim: &ClaimRow) -> Result<Vec<u8>, StoreError> {
    let mut encoded = Vec::new();
    encode("claims", claim, &mut encoded)?;
    Ok([&[kind as u8 | state], encoded.as_slice()].concat())
}

impl RedisStore {
    /// Makes a claim, or finds the one that was made.
    pub(super) async fn claim(
        &self,
        kind: Kind,
        claim: &IdempotencyClaim,
        at: Millis,
    ) -> Result<Claim, StoreError> {
        let space = self.by_hash(&claim.scope);
        let message = claimed_id(at, claim);
        let pending = claim_row(kind, PENDING, &ClaimRow { message, body: claim.body, at })?;
        for _ in 0..TRIES {
            let mut batch = Batch::new(space);
            batch.check_field(&space.claims(), &claim.scope, b"");
            batch.run("HSET", &space.claims(), &[&claim.scope, &pending]);
            let score = key::score(at);
            batch.run("ZADD", &space.claims_by_time(), &[score.as_bytes(), &claim.scope]);
            if let Applied::Done(_) = self.apply(space, batch).await? {
                return Ok(Claim::First { message, at });
            }
            // None: forgotten just now.
            if let Some(held) = self.claimed(kind, claim).await? {
                return Ok(held);
            }
        }
        Err(overtaken())
    }

    /// The claim that was made, if any.
    pub(super) async fn claimed(
        &self,
        kind: Kind,
        claim: &IdempotencyClaim,
    ) -> Result<Option<Claim>, StoreError> {
        let space = self.by_hash(&claim.scope);
        let look = command("HGET", &space.claims(), &[&claim.scope]);
        let found = reply::row(self.read_one(space, look).await?, "a claim")?;
        let Some(row) = found else { return Ok(None) };
        let (state, encoded) = row.split_first().ok_or_else(|| reply::unexpected("a claim"))?;
        let held: ClaimRow = decode("claims", encoded, || "a claim".to_owned())?;
        Ok(Some(match *state {
            _ if held.body != claim.body => Claim::Other,
            pending if pending == kind as u8 | PENDING => {
                Claim::Pending { message: held.message, at: held.at }
            }
            _ => Claim::Done(held.message),
        }))
    }

    /// Notes that a claim was carried out. Nobody waits for it: a claim that
    /// stays pending is carried out again, which changes nothing.
    pub(super) fn claim_is_done(
        &self,
        kind: Kind,
        claim: &IdempotencyClaim,
        message: MessageId,
        at: Millis,
    ) {
        let space = self.by_hash(&claim.scope);
        let held = ClaimRow { message, body: claim.body, at };
        let (Ok(pending), Ok(done)) =
            (claim_row(kind, PENDING, &held), claim_row(kind, DONE, &held))
        else {
            return;
        };
        let mut batch = Batch::new(space);
        batch.check_field(&space.claims(), &claim.scope, &pending);
        batch.run("HSET", &space.claims(), &[&claim.scope, &done]);
        self.apply_later(space, batch);
    }

    pub(super) async fn accept_message(
        &self,
        mut message: Message,
        claim: Option<IdempotencyClaim>,
    ) -> Result<Acceptance, StoreError> {
        let Some(claim) = claim else { return self.append(&message).await };
        match self.claim(Kind::Message, &claim, message.accepted_at).await? {
            Claim::Other => Ok(Acceptance::KeyReused),
            Claim::Done(id) => Ok(Acceptance::Replayed { id }),
            Claim::First { message: id, at } | Claim::Pending { message: id, at } => {
                (message.id, message.accepted_at) = (id, at);
                let acceptance = self.append(&message).await.map_err(left_open)?;
                self.claim_is_done(Kind::Message, &claim, id, at);
                Ok(acceptance)
            }
        }
    }

    /// Appends a message to the journal of its partition and lane.
    async fn append(&self, message: &Message) -> Result<Acceptance, StoreError> {
        let (id, lane) = (message.id, message.lane);
        let space = self.at_home(&message.fiscal_code);
        let encoded = row::message(message)?;
        let entry = row::entry(id, crc32fast::hash(&encoded), &message.fiscal_code);
        let keys = [
            space.counters(),
            space.journal(lane),
            space.messages(),
            space.addressed(&message.fiscal_code),
        ];
        let mut call = script::call(&script::ACCEPT, &keys);
        call.arg(lane.number()).arg(id.to_bytes().as_slice()).arg(encoded).arg(entry);
        // What an earlier try of this very call wrote was not there before.
        call.arg(rand::random::<u64>().to_be_bytes().as_slice());
        let Written { values, .. } = self.write(space, call).await?;
        let (new, sequence) = read_accepted(reply::next(&mut values.into_iter()))?;
        Ok(if new { Acceptance::Accepted { id, sequence } } else { Acceptance::Replayed { id } })
    }
}

/// The error once a claim was made: something is left, and a retry under the
/// same key settles it.
pub(super) fn left_open(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(reason) => StoreError::Unconfirmed(reason),
        other => other,
    }
}

fn read_accepted(value: Value) -> Result<(bool, u64), StoreError> {
    let what = "the answer to a message";
    let mut parts = reply::list(value, what)?.into_iter();
    let new = reply::count(reply::next(&mut parts), what)? == 1;
    Ok((new, reply::count(reply::next(&mut parts), what)?))
}
