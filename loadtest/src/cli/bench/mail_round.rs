//! One round of `bench email`: the reference, then the server on an empty store, every message one mail.

use std::time::Duration;

use araldo_loadtest::audit::{AuditReport, audit};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::{Kind, Record};
use araldo_loadtest::stage::{Stage, StageOptions};
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::super::Failure;
use super::kit::{Traffic, as_f64, bar, import, megabytes, send, simulators_cpu, source};
use super::postfix::{Mails, Sink, smtp_source};

/// A round that does not come to rest in this time is reported as it stands.
const REST_LIMIT: Duration = Duration::from_secs(600);

/// Who takes the mails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Taker {
    /// Postfix's smtp-sink: as the reference, but nobody counts what arrives
    SmtpSink,
    /// The SMTP simulator, in the clear: every mail is read, judged and booked by its Message-ID
    Simulator,
}

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct MailLoad {
    pub(super) traffic: Traffic,
    pub(super) citizens: u64,
    pub(super) sessions: u16,
    pub(super) seed: u64,
    pub(super) into: Taker,
    /// Bytes of a mail, for the reference.
    pub(super) mail_bytes: u64,
}

/// The numbers of a round.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MailRound {
    /// smtp-source into smtp-sink.
    pub(super) reference_per_second: f64,
    pub(super) accepted_per_second: f64,
    /// From the first message sent to the last mail taken (simulator) or to the server at rest (smtp-sink).
    pub(super) mails_per_second: f64,
    pub(super) ratio: f64,
    pub(super) server_cpu_us_per_mail: f64,
    pub(super) simulator_cpu_us_per_mail: f64,
    pub(super) peak_rss_mb: f64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) at_rest: bool,
    pub(super) refused: u64,
    pub(super) gave_up: u64,
    /// Of the mails, when they go to the simulator.
    pub(super) audit: Option<AuditReport>,
}

impl MailRound {
    /// Whether every message became one mail.
    pub(super) fn is_sound(&self, messages: u64) -> bool {
        let once = |audit: &AuditReport| audit.is_clean() && audit.duplicates == 0;
        self.at_rest
            && self.refused == 0
            && self.gave_up == 0
            && self.delivered == messages
            && self.audit.as_ref().is_none_or(once)
    }
}

/// Plays a round in the stage that `options` describes.
pub(super) async fn run(
    mut options: StageOptions,
    load: MailLoad,
    name: &str,
) -> Result<MailRound, Failure> {
    let reference = {
        let sink = Sink::start().await?;
        let count = load.traffic.messages;
        let mails = Mails { count, bytes: load.mail_bytes, sessions: load.sessions };
        let rate = smtp_source(sink.address, mails).await?;
        sink.stop().await?;
        rate
    };
    let sink = match load.into {
        Taker::SmtpSink => Some(Sink::start().await?),
        Taker::Simulator => None,
    };
    prepare(&mut options, load.sessions, sink.as_ref());
    let stage = Stage::start(options).await?;
    let measured = measure(&stage, load, reference, name).await;
    let ended = stage.shutdown().await;
    if let Some(sink) = sink {
        sink.stop().await?;
    }
    let round = measured?;
    ended?;
    Ok(round)
}

/// Only the relay, in the clear as the reference.
fn prepare(options: &mut StageOptions, sessions: u16, sink: Option<&Sink>) {
    options.tls = false;
    options.sessions = u32::from(sessions);
    options.relay = sink.map(|sink| sink.address);
    options.providers = if sink.is_some() { Vec::new() } else { vec![Kind::Smtp] };
}

/// Bytes of a mail as the server writes it for the bench's message, found out with one message.
pub(super) async fn mail_bytes(mut options: StageOptions, seed: u64) -> Result<u64, Failure> {
    prepare(&mut options, 1, None);
    let stage = Stage::start(options).await?;
    let asked = async {
        let population = Population::new(seed, 1, Mix::MailOnly);
        let key = stage.create_service("bench-email", "Prova di carico").await?;
        import(&stage, &population, "size of a mail").await?;
        let one = Traffic { messages: 1, connections: 1 };
        send(&stage, one, source(&population, key), "size of a mail").await?;
        stage.wait_at_rest(Duration::from_secs(60), |_| {}).await;
        let address = population.citizen(0).email.unwrap_or_default();
        let relay = stage.simulator(Kind::Smtp).ok_or("no SMTP simulator")?;
        let mails = relay.mails_of(&address).await?;
        let mail = mails.first().ok_or("the server sent no mail")?;
        Ok::<_, Failure>(mail.len() as u64)
    };
    let bytes = asked.await;
    let ended = stage.shutdown().await;
    let bytes = bytes?;
    ended?;
    Ok(bytes)
}

async fn measure(
    stage: &Stage,
    load: MailLoad,
    reference: f64,
    name: &str,
) -> Result<MailRound, Failure> {
    let population = Population::new(load.seed, load.citizens, Mix::MailOnly);
    let key = stage.create_service("bench-email", "Prova di carico").await?;
    import(stage, &population, name).await?;
    let before = stage.server_usage().unwrap_or_default();
    let simulator_before = simulators_cpu(stage);
    let start = Instant::now();
    let report = send(stage, load.traffic, source(&population, key), name).await?;
    let resting = bar(name, "mails", load.traffic.messages);
    let delivered = |status: &Value| {
        status.pointer("/delivered_by_channel/email").and_then(Value::as_u64).unwrap_or(0)
    };
    let show = |status: &Value| resting.set_position(delivered(status));
    let (at_rest, status) = stage.wait_at_rest(REST_LIMIT, show).await;
    let mut seconds = start.elapsed().as_secs_f64();
    resting.finish_and_clear();
    let after = stage.server_usage().unwrap_or_default();
    let simulator_after = simulators_cpu(stage);
    let status = status.ok_or("the server does not answer")?;
    let mut audited = None;
    if load.into == Taker::Simulator {
        let records = stage.mail_records().await?;
        seconds = until_last(&records, report.started_us).unwrap_or(seconds);
        audited = Some(audit(&report.accepted, &records, |_| Some(1), Some(&status)));
    }
    let mails = as_f64(delivered(&status)).max(1.0);
    let rate = mails / seconds.max(1e-6);
    Ok(MailRound {
        reference_per_second: reference,
        accepted_per_second: report.accepted_per_second(),
        mails_per_second: rate,
        ratio: rate / reference,
        server_cpu_us_per_mail: (after.cpu_seconds - before.cpu_seconds) * 1e6 / mails,
        simulator_cpu_us_per_mail: (simulator_after - simulator_before) * 1e6 / mails,
        peak_rss_mb: megabytes(after.peak_bytes),
        delivered: delivered(&status),
        failed: status.pointer("/deliveries/failed").and_then(Value::as_u64).unwrap_or(0),
        at_rest,
        refused: report.refused,
        gave_up: report.gave_up,
        audit: audited,
    })
}

fn until_last(records: &[Record], started_us: u64) -> Option<f64> {
    let last = records.iter().map(|record| record.first_accept_us).max()?;
    Some(as_f64(last.saturating_sub(started_us)) / 1e6)
}
