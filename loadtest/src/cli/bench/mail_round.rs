//! One round of `bench email`: the reference and the server on an empty store, in changing order; every message, or every
//! citizen of an alert, is one mail.

use std::time::Duration;

use araldo_loadtest::alert_audit::{AlertAudit, audit_alert, recipient};
use araldo_loadtest::audit::{AuditReport, audit};
use araldo_loadtest::population::{Mix, Population};
use araldo_loadtest::simulator::{Kind, Record};
use araldo_loadtest::stage::{Stage, StageOptions};
use hyper::header::HeaderValue;
use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;

use super::super::Failure;
use super::alert::{alert_body, alert_service};
use super::kit::{Traffic, as_f64, bar, import, megabytes, send, settle, simulators_cpu, source};
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
    /// One alert to all citizens, instead of messages.
    pub(super) alert: bool,
    pub(super) citizens: u64,
    pub(super) sessions: u16,
    pub(super) seed: u64,
    pub(super) into: Taker,
    /// Bytes of a mail, for the reference.
    pub(super) mail_bytes: u64,
    /// The server first, then the reference.
    pub(super) server_first: bool,
}

/// The numbers of a round.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct MailRound {
    /// smtp-source into smtp-sink.
    pub(super) reference_per_second: f64,
    /// Of messages over HTTP.
    pub(super) accepted_per_second: Option<f64>,
    /// From the first message sent, or the alert's acceptance, to the last mail taken (simulator) or to the server at rest
    /// (smtp-sink).
    pub(super) mails_per_second: f64,
    pub(super) server_cpu_us_per_mail: f64,
    pub(super) simulator_cpu_us_per_mail: f64,
    pub(super) peak_rss_mb: f64,
    pub(super) delivered: u64,
    pub(super) failed: u64,
    pub(super) at_rest: bool,
    pub(super) refused: u64,
    pub(super) gave_up: u64,
    /// Of the mails of messages, when they go to the simulator.
    pub(super) audit: Option<AuditReport>,
    /// Of the mails of an alert, when they go to the simulator.
    pub(super) alert_audit: Option<AlertAudit>,
}

impl MailRound {
    /// Over the reference's rate.
    pub(super) fn ratio(&self) -> f64 {
        self.mails_per_second / self.reference_per_second.max(1e-6)
    }

    /// Whether there was one mail for everything there should be one for.
    pub(super) fn is_sound(&self, mails: u64) -> bool {
        let once = |audit: &AuditReport| audit.is_clean() && audit.duplicates == 0;
        let each = |audit: &AlertAudit| audit.is_exact() && audit.duplicates == 0;
        self.at_rest
            && self.refused == 0
            && self.gave_up == 0
            && self.delivered == mails
            && self.audit.as_ref().is_none_or(once)
            && self.alert_audit.as_ref().is_none_or(each)
    }
}

/// Plays a round in the stage that `options` describes.
pub(super) async fn run(
    options: StageOptions,
    load: MailLoad,
    name: &str,
) -> Result<MailRound, Failure> {
    if load.server_first {
        let round = run_server(options, load, name).await?;
        return Ok(MailRound { reference_per_second: reference(load, name).await?, ..round });
    }
    let reference_per_second = reference(load, name).await?;
    let round = run_server(options, load, name).await?;
    Ok(MailRound { reference_per_second, ..round })
}

async fn reference(load: MailLoad, name: &str) -> Result<f64, Failure> {
    let sink = Sink::start().await?;
    let count = load.traffic.messages;
    let shown = bar(name, "mails of smtp-source", count);
    shown.tick();
    let mails = Mails { count, bytes: load.mail_bytes, sessions: load.sessions };
    let rate = smtp_source(sink.address, mails).await?;
    sink.stop().await?;
    shown.finish_and_clear();
    Ok(rate)
}

async fn run_server(
    mut options: StageOptions,
    load: MailLoad,
    name: &str,
) -> Result<MailRound, Failure> {
    let sink = match load.into {
        Taker::SmtpSink => Some(Sink::start().await?),
        Taker::Simulator => None,
    };
    prepare(&mut options, load.sessions, sink.as_ref());
    let stage = Stage::start(options).await?;
    let measured = measure(&stage, load, name).await;
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

/// Bytes of a mail as the server writes it for the bench's message or alert, found out with one.
pub(super) async fn mail_bytes(mut options: StageOptions, load: MailLoad) -> Result<u64, Failure> {
    prepare(&mut options, 1, None);
    let stage = Stage::start(options).await?;
    let asked = async {
        let traffic = Traffic { messages: 1, connections: 1 };
        let one = MailLoad { traffic, citizens: 1, ..load };
        let population = Population::new(load.seed, 1, Mix::MailOnly);
        let key = alert_service(&stage).await?;
        import(&stage, &population, "size of a mail").await?;
        send_all(&stage, one, &population, &key, "size of a mail").await?;
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

/// What came of sending.
struct Sent {
    round: MailRound,
    /// Unix microseconds of the first message, or of the alert's acceptance.
    started_us: u64,
    seconds: f64,
    accepted: Vec<araldo_loadtest::driver::Accepted>,
    alert: Option<u128>,
    status: Value,
}

fn delivered(status: &Value) -> u64 {
    status.pointer("/delivered_by_channel/email").and_then(Value::as_u64).unwrap_or(0)
}

/// Sends the messages, or the alert, and waits until nothing is pending.
async fn send_all(
    stage: &Stage,
    load: MailLoad,
    population: &Population,
    key: &HeaderValue,
    name: &str,
) -> Result<Sent, Failure> {
    let start = Instant::now();
    let mut round = MailRound::default();
    let started_us;
    let (mut accepted, mut alert, mut ended) = (Vec::new(), None, None);
    let resting = bar(name, "mails", load.traffic.messages);
    let show = |status: &Value| resting.set_position(delivered(status));
    if load.alert {
        let sent = stage.send_alert(key, &alert_body()).await?;
        (started_us, alert) = (sent.at_us, Some(sent.id));
        let state = stage
            .wait_alert(key, sent, REST_LIMIT, |state| {
                resting.set_position(state.delivered_by_routes());
            })
            .await?;
        ended = state.seconds();
    } else {
        let report = send(stage, load.traffic, source(population, key.clone()), name).await?;
        round.accepted_per_second = Some(report.accepted_per_second());
        (round.refused, round.gave_up) = (report.refused, report.gave_up);
        (started_us, accepted) = (report.started_us, report.accepted);
    }
    let (at_rest, status) = stage.wait_at_rest(REST_LIMIT, show).await;
    resting.finish_and_clear();
    round.at_rest = at_rest;
    let status = status.ok_or("the server does not answer")?;
    let seconds = ended.unwrap_or_else(|| start.elapsed().as_secs_f64());
    Ok(Sent { round, started_us, seconds, accepted, alert, status })
}

async fn measure(stage: &Stage, load: MailLoad, name: &str) -> Result<MailRound, Failure> {
    let population = Population::new(load.seed, load.citizens, Mix::MailOnly);
    let key = alert_service(stage).await?;
    import(stage, &population, name).await?;
    settle(stage).await;
    let before = stage.server_usage().unwrap_or_default();
    let simulator_before = simulators_cpu(stage);
    let mut sent = send_all(stage, load, &population, &key, name).await?;
    let after = stage.server_usage().unwrap_or_default();
    let simulator_after = simulators_cpu(stage);
    let mut round = std::mem::take(&mut sent.round);
    if load.into == Taker::Simulator {
        let records = stage.mail_records().await?;
        sent.seconds = until_last(&records, sent.started_us).unwrap_or(sent.seconds);
        match sent.alert {
            None => {
                let status = Some(&sent.status);
                round.audit = Some(audit(&sent.accepted, &records, |_| Some(1), status));
            }
            Some(id) => {
                let citizens = (0..population.size()).map(|index| population.citizen(index));
                let addresses = citizens.filter_map(|citizen| citizen.email);
                let expected = addresses.map(|address| recipient(&address)).collect();
                round.alert_audit = Some(audit_alert(id, expected, &records));
            }
        }
    }
    round.delivered = delivered(&sent.status);
    let failed = sent.status.pointer("/deliveries/failed");
    round.failed = failed.and_then(Value::as_u64).unwrap_or(0);
    let mails = as_f64(round.delivered).max(1.0);
    round.mails_per_second = mails / sent.seconds.max(1e-6);
    round.server_cpu_us_per_mail = (after.cpu_seconds - before.cpu_seconds) * 1e6 / mails;
    round.simulator_cpu_us_per_mail = (simulator_after - simulator_before) * 1e6 / mails;
    round.peak_rss_mb = megabytes(after.peak_bytes);
    Ok(round)
}

fn until_last(records: &[Record], started_us: u64) -> Option<f64> {
    let last = records.iter().map(|record| record.first_accept_us).max()?;
    Some(as_f64(last.saturating_sub(started_us)) / 1e6)
}
