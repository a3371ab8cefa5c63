//! Reading messages and their states.

use araldo_actors::domain::delivery::MessageState;
use araldo_actors::domain::fiscal_code::FiscalCode;
use araldo_actors::domain::id::MessageId;
use araldo_actors::domain::message::Message;
use araldo_actors::port::store::StoreError;

use super::RedisStore;
use super::base::command;
use super::reply;
use super::row::{self, Held};

/// A message with its state.
pub(super) type Found = (Message, MessageState);

impl RedisStore {
    /// A message of one partition with its state.
    pub(super) async fn stored_message(
        &self,
        partition: u16,
        id: MessageId,
    ) -> Result<Option<(Message, Held)>, StoreError> {
        let found = self.stored_messages(partition, &[id]).await?;
        Ok(found.into_iter().next().flatten())
    }

    /// Messages of one partition with their states, in the order of `ids`.
    pub(super) async fn stored_messages(
        &self,
        partition: u16,
        ids: &[MessageId],
    ) -> Result<Vec<Option<(Message, Held)>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let space = self.space(partition);
        let fields: Vec<[u8; 16]> = ids.iter().map(|id| id.to_bytes()).collect();
        let fields: Vec<&[u8]> = fields.iter().map(<[u8; 16]>::as_slice).collect();
        let looks = vec![
            command("HMGET", &space.messages(), &fields),
            command("HMGET", &space.states(), &fields),
        ];
        let mut values = self.read(space, looks).await?;
        let messages = reply::rows(reply::next(&mut values), "messages")?;
        let states = reply::rows(reply::next(&mut values), "states of messages")?;
        ids.iter()
            .zip(messages.into_iter().zip(states))
            .map(|(id, (message, state))| {
                let Some(message) = message else { return Ok(None) };
                let message = row::read_message(&message, *id)?;
                let held = match state {
                    Some(state) => Held::read(&state, *id)?,
                    None => {
                        Held { state: MessageState::accepted(message.accepted_at), ordinal: None }
                    }
                };
                Ok(Some((message, held)))
            })
            .collect()
    }

    pub(super) async fn message_for(
        &self,
        recipient: FiscalCode,
        id: MessageId,
    ) -> Result<Option<Found>, StoreError> {
        match self.stored_message(self.home(&recipient), id).await? {
            Some((message, held)) if message.fiscal_code == recipient => {
                Ok(Some((message, held.state)))
            }
            Some(_) => Ok(None),
            None => self.alert_for(&recipient, id).await,
        }
    }

    /// Ids of the messages addressed to somebody, in order.
    pub(super) async fn addressed_ids(
        &self,
        code: &FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<MessageId>, StoreError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let space = self.at_home(code);
        let from = after.map_or_else(|| b"-".to_vec(), |id| [b"(", &id.to_bytes()[..]].concat());
        let mut look = redis::cmd("ZRANGE");
        look.arg(space.addressed(code)).arg(from).arg("+").arg("BYLEX");
        look.arg("LIMIT").arg(0).arg(limit);
        let members = reply::members(self.read_one(space, look).await?, "ids of messages")?;
        members
            .into_iter()
            .map(|id| match id.try_into() {
                Ok(id) => Ok(MessageId::from_bytes(id)),
                Err(_) => Err(reply::unexpected("the id of a message")),
            })
            .collect()
    }

    /// Messages addressed to a citizen and alerts in the inbox, in the order
    /// of their ids.
    pub(super) async fn addressed_to(
        &self,
        code: FiscalCode,
        after: Option<MessageId>,
        limit: usize,
    ) -> Result<Vec<Found>, StoreError> {
        let partition = self.home(&code);
        let missing = |id| {
            let what = "it is missing, but listed with its recipient";
            StoreError::Damaged(format!("partition {partition}, message {id}: {what}"))
        };
        let own = self.addressed_ids(&code, after, limit).await?;
        let mut listed: Vec<(MessageId, Option<MessageState>)> =
            own.into_iter().map(|id| (id, None)).collect();
        let alerts = self.addressed_alerts(&code, after, limit).await?;
        listed.extend(alerts.into_iter().map(|(id, state)| (id, Some(state))));
        listed.sort_unstable_by_key(|(id, _)| *id);
        listed.truncate(limit);
        let ids: Vec<MessageId> =
            listed.iter().filter(|(_, alert)| alert.is_none()).map(|(id, _)| *id).collect();
        let mut own = self.stored_messages(partition, &ids).await?.into_iter();
        let mut found = Vec::with_capacity(listed.len());
        for (id, alert) in listed {
            match alert {
                Some(state) => {
                    let message = self.alert_message(&code, id).await?;
                    found.push((message.ok_or_else(|| missing(id))?, state));
                }
                None => {
                    let (message, held) = own.next().flatten().ok_or_else(|| missing(id))?;
                    found.push((message, held.state));
                }
            }
        }
        Ok(found)
    }
}
