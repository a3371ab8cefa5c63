//! The bus: what nodes tell each other, and how it is written.
//!
//! One sharded channel (`SPUBLISH`, `SSUBSCRIBE`, Redis 7.0) in the slot that all
//! nodes share: so all of them publish to the same master and are subscribed
//! there, and everybody hears everything in one order. Plain channels would do on
//! one server; in a Cluster any node takes a plain `PUBLISH`, even one that lost
//! its slots, and each message goes to all nodes of the Cluster, while
//! a sharded one is redirected like any other command on the slot. The crate's
//! connections speak RESP3, where a subscription is a command whose answer is a
//! push and messages are pushes handed to a function of ours: no cluster client
//! is needed for it.
//!
//! A message is a version, the incarnation of who sent it, its kind, and what is
//! told. One that cannot be read may have said anything: [`Heard::Gap`].
//!
//! Replicas are waited for where somebody is answered once a notice was told: a
//! master that the others have left could take it otherwise. Hints go without:
//! whoever finds another master subscribes anew and looks at the store, where
//! everything that is told was stored before.
//!
//! [`Heard::Gap`]: araldo_actors::port::cluster::Heard

use redis::Cmd;

use araldo_actors::domain::notice::Notice;
use araldo_actors::port::store::StoreError;

use crate::store::redis::RedisStore;
use crate::store::redis::base::asked;
use crate::store::redis::key::Space;

/// The layout of messages.
const VERSION: u8 = 1;
const NOTICES: u8 = 0;
const PING: u8 = 1;
/// Notices in one message: what a version cannot read costs no more than these.
const TOGETHER: usize = 64;

/// The channel's name.
pub(super) fn channel(all: &Space) -> String {
    all.key("bus")
}

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Something to be handed out.
    Notices(Vec<Notice>),
    /// This process' own voice, by its number.
    Echo(u64),
    /// Nothing for us: our own notices, others' pings.
    Nothing,
    /// It cannot be read.
    Unreadable,
}

fn message(incarnation: u128, kind: u8, body: &[u8]) -> Vec<u8> {
    [&[VERSION][..], &incarnation.to_be_bytes(), &[kind], body].concat()
}

/// A ping with a number.
pub(super) fn ping(incarnation: u128, number: u64) -> Vec<u8> {
    message(incarnation, PING, &number.to_be_bytes())
}

/// Reads a message as process `own` hears it.
pub(super) fn read(message: &[u8], own: u128) -> Said {
    let read = || {
        let rest = message.strip_prefix(&[VERSION])?;
        let (sender, rest) = rest.split_first_chunk::<16>()?;
        let (kind, body) = rest.split_first()?;
        let mine = u128::from_be_bytes(*sender) == own;
        Some(match *kind {
            NOTICES if mine => Said::Nothing,
            NOTICES => Said::Notices(postcard::from_bytes(body).ok()?),
            PING if mine => Said::Echo(u64::from_be_bytes(body.try_into().ok()?)),
            PING => Said::Nothing,
            _ => return None,
        })
    };
    read().unwrap_or(Said::Unreadable)
}

/// Whether somebody is answered once this was told, so that a master that others
/// have left already must not take it: its replicas tell.
const fn is_waited_for(notice: &Notice) -> bool {
    matches!(
        notice,
        Notice::Changed { .. }
            | Notice::Registered
            | Notice::Alert { .. }
            | Notice::Revoked { .. }
            | Notice::Erase { .. }
    )
}

/// A message on its way.
pub(super) fn spublish(channel: &str, message: &[u8]) -> Cmd {
    let mut publish = redis::cmd("SPUBLISH");
    publish.arg(channel).arg(message);
    publish
}

impl RedisStore {
    pub(super) async fn publish(&self, notices: &[Notice]) -> Result<(), StoreError> {
        if notices.is_empty() {
            return Ok(());
        }
        let channel = channel(&self.all);
        let mut commands = Vec::with_capacity(notices.len().div_ceil(TOGETHER));
        for some in notices.chunks(TOGETHER) {
            let body = postcard::to_allocvec(some).map_err(|error| {
                StoreError::Unavailable(format!("a notice cannot be written: {error}"))
            })?;
            commands.push(spublish(&channel, &message(self.incarnation, NOTICES, &body)));
        }
        let confirmed = notices.iter().any(is_waited_for);
        self.link.write(asked(&self.all, commands, confirmed)).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{NOTICES, Notice, PING, Said, VERSION, message, ping, read};

    #[test]
    fn a_message_says_what_was_told_to_others_and_an_echo_to_its_sender() {
        let notices = vec![Notice::Registered];
        let told = message(7, NOTICES, &postcard::to_allocvec(&notices).expect("encodes"));
        assert_eq!(read(&told, 8), Said::Notices(notices));
        assert_eq!(read(&told, 7), Said::Nothing);
        assert_eq!(read(&ping(7, 5), 7), Said::Echo(5));
        assert_eq!(read(&ping(7, 5), 8), Said::Nothing);
    }

    #[test]
    fn what_cannot_be_read_is_told_apart_from_nothing() {
        let unknown = message(7, 9, b"");
        let newer = [&[VERSION + 1], &ping(7, 5)[1..]].concat();
        let torn = &ping(8, 5)[..20];
        let garbage = message(7, NOTICES, &[1, 0xff, 0xff]);
        let short = message(8, PING, b"");
        for message in [&unknown[..], &newer, torn, &garbage, b"", &short] {
            assert_eq!(read(message, 8), Said::Unreadable, "{message:?}");
        }
    }
}
