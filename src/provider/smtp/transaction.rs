//! One mail through an open session: envelope, recipients, text (RFC 5321,
//! 3.3).
//!
//! Owns the verdict for each recipient. Where the relay offers PIPELINING the
//! envelope leaves in one write and its replies are read one by one (RFC
//! 2920), so that a mail costs two round trips. A refused recipient stops
//! none of the others.

use std::time::Duration;

use super::answer::{Fault, Stage};
use super::data::stuffed;
use super::reply::Status;
use super::session::Session;
use super::wire::{Broken, WriteError};

/// For a reply that came before a mail could be written to its end.
const LAST_WORD: Duration = Duration::from_secs(5);

/// A mail, ready to go.
#[derive(Clone, Copy)]
pub(super) struct Outgoing<'a> {
    /// Sender of the envelope.
    pub(super) from: &'a str,
    /// Addresses, checked: without control characters.
    pub(super) to: &'a [&'a str],
    /// Header and body.
    pub(super) mail: &'a [u8],
}

type Verdicts = Vec<Result<(), Fault>>;

impl Session {
    /// Carries one mail; one verdict per recipient, in their order. The
    /// session is of no more use where [`Session::usable`] says so.
    pub(super) async fn deliver(&mut self, outgoing: Outgoing<'_>) -> Verdicts {
        let too_large = self.peer.max_size.is_some_and(|limit| outgoing.mail.len() > limit);
        let utf8 = self.peer.utf8 && self.peer.eight_bit;
        let mut verdicts: Verdicts = outgoing
            .to
            .iter()
            .map(|address| match (too_large, utf8 || address.is_ascii()) {
                (true, _) => Err(Fault::TooLarge),
                (_, false) => Err(Fault::NotAscii),
                _ => Ok(()),
            })
            .collect();
        if verdicts.iter().all(Result::is_err) {
            return verdicts;
        }
        // Should this future be dropped in the middle, the session is too.
        self.usable = false;
        match self.transact(outgoing, &mut verdicts).await {
            Ok(usable) => self.usable = usable,
            // No reply came any more, or 421: the session is over. What the
            // relay had said of a recipient before stays said.
            Err(fault) => refuse(&mut verdicts, fault),
        }
        verdicts
    }

    /// Returns whether the session can carry another mail.
    async fn transact(
        &mut self,
        outgoing: Outgoing<'_>,
        verdicts: &mut Verdicts,
    ) -> Result<bool, Fault> {
        let asked: Vec<usize> =
            (0..verdicts.len()).filter(|index| verdicts[*index].is_ok()).collect();
        let data = if self.peer.pipelining {
            self.envelope_at_once(outgoing, &asked, verdicts).await?
        } else {
            self.envelope_step_by_step(outgoing, &asked, verdicts).await?
        };
        let any = verdicts.iter().any(Result::is_ok);
        match data {
            Some(status) if status.is_go_on() && any => {
                self.write_mail(&stuffed(outgoing.mail)).await?;
                let status = self.reply(Stage::End).await?;
                if !status.is_done() {
                    refuse(verdicts, Fault::Refused(Stage::End, status));
                }
                return Ok(true);
            }
            Some(status) if status.is_go_on() => {
                // It wants a mail for nobody: an empty one (RFC 2920, 3.1).
                self.write_mail(b".\r\n").await?;
                self.reply(Stage::End).await?;
            }
            Some(status) => refuse(verdicts, Fault::Refused(Stage::Data, status)),
            None => {}
        }
        Ok(self.reset().await)
    }

    /// MAIL, every RCPT and DATA in one write, then every reply.
    async fn envelope_at_once(
        &mut self,
        outgoing: Outgoing<'_>,
        asked: &[usize],
        verdicts: &mut Verdicts,
    ) -> Result<Option<Status>, Fault> {
        let mut commands = self.mail_command(outgoing);
        for index in asked {
            commands.push_str(&recipient_command(outgoing.to[*index]));
        }
        commands.push_str("DATA\r\n");
        self.write(commands.as_bytes()).await?;
        let sender = self.reply(Stage::Mail).await?;
        if !sender.is_done() {
            refuse(verdicts, Fault::Refused(Stage::Mail, sender));
        }
        for index in asked {
            let status = self.reply(Stage::Recipient).await?;
            if !status.is_done() && verdicts[*index].is_ok() {
                verdicts[*index] = Err(Fault::Refused(Stage::Recipient, status));
            }
        }
        self.reply(Stage::Data).await.map(Some)
    }

    /// The same, one command at a time; DATA only if anybody is left.
    async fn envelope_step_by_step(
        &mut self,
        outgoing: Outgoing<'_>,
        asked: &[usize],
        verdicts: &mut Verdicts,
    ) -> Result<Option<Status>, Fault> {
        let command = self.mail_command(outgoing);
        self.write(command.as_bytes()).await?;
        let sender = self.reply(Stage::Mail).await?;
        if !sender.is_done() {
            refuse(verdicts, Fault::Refused(Stage::Mail, sender));
            return Ok(None);
        }
        for index in asked {
            self.write(recipient_command(outgoing.to[*index]).as_bytes()).await?;
            let status = self.reply(Stage::Recipient).await?;
            if !status.is_done() {
                verdicts[*index] = Err(Fault::Refused(Stage::Recipient, status));
            }
        }
        if verdicts.iter().all(Result::is_err) {
            return Ok(None);
        }
        self.write(b"DATA\r\n").await?;
        self.reply(Stage::Data).await.map(Some)
    }

    fn mail_command(&self, outgoing: Outgoing<'_>) -> String {
        let mut command = format!("MAIL FROM:<{}>", outgoing.from);
        if self.peer.size {
            command.push_str(&format!(" SIZE={}", outgoing.mail.len()));
        }
        // The mail itself is 7 bit, but an address that is not ASCII stands in
        // its header as well (RFC 6531, 3.4).
        let ascii = outgoing.to.iter().all(|address| address.is_ascii());
        if !ascii && self.peer.utf8 && self.peer.eight_bit {
            command.push_str(" BODY=8BITMIME SMTPUTF8");
        }
        command.push_str("\r\n");
        command
    }

    /// A reply at `stage`; 421 and no reply end the session.
    async fn reply(&mut self, stage: Stage) -> Result<Status, Fault> {
        let limit = match stage {
            Stage::Mail => self.timeouts.mail,
            Stage::Recipient => self.timeouts.recipient,
            Stage::Data => self.timeouts.data,
            Stage::End => self.timeouts.end,
        };
        match self.wire.reply(limit).await {
            Ok(reply) if reply.status.code == 421 => Err(Fault::Refused(stage, reply.status)),
            Ok(reply) => Ok(reply.status),
            Err(Broken(why)) if stage == Stage::End => Err(Fault::Unknown(why)),
            Err(Broken(why)) => Err(Fault::NotSent(why)),
        }
    }

    async fn write(&mut self, commands: &[u8]) -> Result<(), Fault> {
        let written = self.wire.write(commands, self.timeouts.block).await;
        written.map_err(|WriteError { broken: Broken(why), .. }| Fault::NotSent(why))
    }

    /// Writes the mail with its end. As long as the last byte has not left,
    /// the relay cannot have taken it; it may have said why before it hung up.
    async fn write_mail(&mut self, wire: &[u8]) -> Result<(), Fault> {
        let Err(WriteError { broken: Broken(why), complete }) =
            self.wire.write(wire, self.timeouts.block).await
        else {
            return Ok(());
        };
        if complete {
            return Err(Fault::Unknown(why));
        }
        match self.wire.reply(LAST_WORD).await {
            Ok(reply) if !reply.status.is_done() => Err(Fault::Refused(Stage::End, reply.status)),
            _ => Err(Fault::NotSent(why)),
        }
    }

    /// Forgets the transaction, so that the session can carry the next mail.
    async fn reset(&mut self) -> bool {
        let reply = self.wire.ask("RSET\r\n", self.timeouts.greeting).await;
        reply.is_ok_and(|reply| reply.status.is_done())
    }
}

fn recipient_command(address: &str) -> String {
    format!("RCPT TO:<{address}>\r\n")
}

/// Who was not refused before is refused by `fault`.
fn refuse(verdicts: &mut Verdicts, fault: Fault) {
    for verdict in verdicts.iter_mut().filter(|verdict| verdict.is_ok()) {
        *verdict = Err(fault);
    }
}
