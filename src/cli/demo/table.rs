//! The demo's report for people.

use std::io::{self, Write};

use araldo_loadtest::stage::Stage;
use serde_json::Value;

use super::report::Report;

/// Writes the table and the proof.
pub(super) fn write(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let Report { citizens, messages, seed, .. } = report;
    writeln!(out, "\nA morning: {messages} messages, {citizens} citizens, seed {seed}\n")?;
    messages_part(out, &report.books)?;
    deliveries_part(out, report)?;
    timing_part(out, report)?;
    alert_part(out, report)?;
    proof_part(out, report)
}

fn row(out: &mut impl Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "  {name:<34} {value:>14}")
}

fn count(books: &Value, pointer: &str) -> String {
    books.pointer(pointer).and_then(Value::as_u64).map_or_else(|| "?".into(), |n| n.to_string())
}

fn messages_part(out: &mut impl Write, books: &Value) -> io::Result<()> {
    writeln!(out, "Messages")?;
    row(out, "accepted", &count(books, "/messages/accepted"))?;
    row(out, "processed", &count(books, "/messages/processed"))?;
    for reason in ["USER_NOT_FOUND", "SERVICE_NOT_ALLOWED", "UNKNOWN"] {
        let pointer = format!("/messages/rejected_by_reason/{reason}");
        row(out, &format!("rejected, {reason}"), &count(books, &pointer))?;
    }
    for name in ["expired", "quarantined", "pending"] {
        row(out, name, &count(books, &format!("/messages/{name}")))?;
    }
    Ok(())
}

fn deliveries_part(out: &mut impl Write, report: &Report) -> io::Result<()> {
    const COLUMNS: [&str; 5] = ["planned", "delivered", "failed", "suppressed", "repeated"];
    write!(out, "{:<14}", "Deliveries")?;
    for column in COLUMNS {
        write!(out, " {column:>11}")?;
    }
    writeln!(out)?;
    for totals in &report.channels {
        let name = match totals.channel {
            "in_app" => "inbox",
            "email" => "e-mail",
            other => other,
        };
        write!(out, "  {name:<12}")?;
        let counts =
            [totals.planned, totals.delivered, totals.failed, totals.suppressed, totals.retried];
        for count in counts {
            write!(out, " {count:>11}")?;
        }
        writeln!(out)?;
    }
    for name in ["expired", "cancelled", "pending"] {
        row(out, name, &count(&report.books, &format!("/deliveries/{name}")))?;
    }
    Ok(())
}

fn timing_part(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let timing = &report.timing;
    let (push, mail) = (&report.proof.audit.latency, &report.proof.mail_audit.latency);
    let ms = |value: f64| format!("{value:.1} ms");
    writeln!(out, "Speed")?;
    row(out, "accepted a second", &format!("{:.0}", timing.accepted_per_second))?;
    row(out, "pushed a second", &format!("{:.0}", timing.pushed_per_second))?;
    row(out, "mailed a second", &format!("{:.0}", timing.mailed_per_second))?;
    row(out, "accepted to push provider, p50", &ms(push.p50_ms))?;
    row(out, "accepted to push provider, p99", &ms(push.p99_ms))?;
    row(out, "accepted to relay, p50", &ms(mail.p50_ms))?;
    row(out, "accepted to relay, p99", &ms(mail.p99_ms))?;
    row(out, "import", &format!("{:.1} s", timing.import_seconds))?;
    row(out, "araldo serve, peak memory", &format!("{:.0} MB", timing.server_peak_mb))?;
    row(out, "araldo serve, CPU time", &format!("{:.1} s", timing.server_cpu_seconds))
}

fn alert_part(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let alert = &report.proof.alert;
    writeln!(out, "Alert to everyone: {}", alert.status)?;
    row(out, "in the inbox of", &alert.inboxes.to_string())?;
    row(out, "pushes", &alert.push.reached.to_string())?;
    row(out, "mails", &alert.mail.reached.to_string())?;
    row(out, "accepted to the last of them", &format!("{:.1} s", alert.seconds))?;
    row(out, "pushes and mails a second", &format!("{:.0}", alert.deliveries_per_second))
}

fn proof_part(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let proof = &report.proof;
    writeln!(out, "Proof: our books against the simulators' own counts")?;
    for simulator in &report.simulators {
        writeln!(
            out,
            "  {} saw {} requests, refused {}, accepted {}: {} different {}",
            simulator.provider,
            simulator.requests,
            simulator.refused,
            simulator.accepted,
            simulator.unique_deliveries,
            if simulator.provider == "smtp" { "mails" } else { "pushes" },
        )?;
    }
    for equation in &proof.equations {
        let mark = if equation.holds() { "ok " } else { "NO " };
        writeln!(out, "  {mark} {} ({} = {})", equation.says, equation.left, equation.right)?;
    }
    for (what, audit) in [("pushes", &proof.audit), ("mails", &proof.mail_audit)] {
        writeln!(
            out,
            "  {what}: lost {}, beyond the plan {}, duplicates {}, never asked for {}",
            audit.lost, audit.excess, audit.duplicates, audit.phantoms
        )?;
    }
    for (what, audit) in [("pushes", &proof.alert.push), ("mails", &proof.alert.mail)] {
        writeln!(
            out,
            "  the alert's {what}: missing {}, twice {}, to others {}, duplicates {}",
            audit.missing, audit.excess, audit.strangers, audit.duplicates
        )?;
    }
    let live = &proof.live;
    writeln!(
        out,
        "  {} live citizens: {} messages, missing {}, twice {}, not theirs {}",
        live.sessions, live.events, live.missing, live.twice, live.unexpected
    )?;
    writeln!(out, "  messages refused {}, given up {}", proof.refused, proof.gave_up)?;
    let verdict = if proof.balanced {
        "Balanced: every message is accounted for, every push and mail arrived, the alert reached everyone it is for, every live inbox is exact."
    } else {
        "NOT balanced."
    };
    writeln!(out, "{verdict}")
}

/// Where to look while the demo stays up.
pub(super) fn write_urls(out: &mut impl Write, stage: &Stage) -> io::Result<()> {
    let base = stage.base_url();
    writeln!(out, "  {base}/readyz         is it ready, and if not why")?;
    writeln!(out, "  {base}/metrics        Prometheus metrics")?;
    writeln!(out, "  {base}/openapi.json   the API")?;
    for simulator in stage.simulators() {
        let name = simulator.kind.name();
        writeln!(out, "  {}/books          what the {name} simulator saw", simulator.control)?;
    }
    let config = stage.config_file().display();
    writeln!(out, "  araldo --config {config} status")
}
