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
    deliveries_part(out, &report.books)?;
    timing_part(out, report)?;
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

fn deliveries_part(out: &mut impl Write, books: &Value) -> io::Result<()> {
    writeln!(out, "Deliveries")?;
    row(out, "planned", &count(books, "/deliveries/planned"))?;
    row(out, "delivered, in the inbox", &count(books, "/delivered_by_channel/in_app"))?;
    row(out, "delivered, push", &count(books, "/delivered_by_channel/push"))?;
    row(out, "suppressed by preference", &count(books, "/deliveries/suppressed"))?;
    row(out, "failed", &count(books, "/deliveries/failed"))?;
    for name in ["expired", "pending"] {
        row(out, name, &count(books, &format!("/deliveries/{name}")))?;
    }
    row(out, "attempts repeated", &count(books, "/deliveries/retried"))
}

fn timing_part(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let timing = &report.timing;
    let latency = &report.proof.audit.latency;
    writeln!(out, "Speed")?;
    row(out, "accepted a second", &format!("{:.0}", timing.accepted_per_second))?;
    row(out, "pushed a second", &format!("{:.0}", timing.pushed_per_second))?;
    row(out, "accepted to provider, p50", &format!("{:.1} ms", latency.p50_ms))?;
    row(out, "accepted to provider, p99", &format!("{:.1} ms", latency.p99_ms))?;
    row(out, "import", &format!("{:.1} s", timing.import_seconds))?;
    row(out, "araldo serve, peak memory", &format!("{:.0} MB", timing.server_peak_mb))?;
    row(out, "araldo serve, CPU time", &format!("{:.1} s", timing.server_cpu_seconds))
}

fn proof_part(out: &mut impl Write, report: &Report) -> io::Result<()> {
    let proof = &report.proof;
    writeln!(out, "Proof: our books against the simulators' own counts")?;
    for simulator in &report.simulators {
        writeln!(
            out,
            "  {} saw {} requests, refused {}, accepted {}: {} different pushes",
            simulator.provider,
            simulator.requests,
            simulator.refused,
            simulator.accepted,
            simulator.unique_deliveries,
        )?;
    }
    for equation in &proof.equations {
        let mark = if equation.holds() { "ok " } else { "NO " };
        writeln!(out, "  {mark} {} ({} = {})", equation.says, equation.left, equation.right)?;
    }
    let audit = &proof.audit;
    writeln!(
        out,
        "  lost {}, duplicates {}, never asked for {}, refused {}, given up {}",
        audit.lost, audit.duplicates, audit.phantoms, proof.refused, proof.gave_up
    )?;
    let verdict = if proof.balanced {
        "Balanced: every message is accounted for, every push arrived."
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
