//! An alert in words, and its walks in a table.

use std::io::Write;

use serde_json::Value;

use crate::cli::error::CliError;
use crate::cli::output::{self, text_of};

/// Areas named where one alert is shown.
const NAMED: usize = 12;

/// Writes what an alert is and how far.
pub fn show(alert: &Value) -> Result<(), CliError> {
    let mut out = output::stdout();
    writeln!(out, "{}", heading(alert))?;
    let languages: Vec<_> =
        alert["languages"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let fallback = text_of(alert, "fallback_language");
    for (name, text) in [
        ("subject", text_of(alert, "subject")),
        ("service", text_of(alert, "service_id")),
        ("audience", audience(alert, NAMED)),
        ("languages", format!("{}; others get {fallback}", languages.join(", "))),
        ("lane", text_of(alert, "lane")),
        ("accepted", text_of(alert, "accepted_at")),
        ("expires", text_of(alert, "expires_at")),
        ("progress", progress(alert)),
    ] {
        writeln!(out, "{name:<10} {text}")?;
    }
    writeln!(out, "route by route: araldo alert report {}", text_of(alert, "id"))?;
    Ok(out.flush()?)
}

/// Writes what became of an alert, walk by walk.
pub fn report(alert: &Value) -> Result<(), CliError> {
    let mut out = output::stdout();
    writeln!(out, "{}", heading(alert))?;
    writeln!(out, "{}", progress(alert))?;
    out.flush()?;
    drop(out);
    let columns = [
        "walk",
        "channel",
        "visited",
        "end",
        "delivered",
        "failed",
        "expired",
        "cancelled",
        "suppressed",
        "pending",
        "retried",
    ];
    let header: Vec<_> = columns.map(str::to_uppercase).into();
    let header: Vec<_> = header.iter().map(String::as_str).collect();
    let walks = alert["progress"]["walks"].as_array().into_iter().flatten();
    let row = |walk: &Value| columns.iter().map(|name| text_of(walk, name)).collect();
    output::table(&header, &walks.map(row).collect::<Vec<_>>())
}

fn heading(alert: &Value) -> String {
    let [id, status, since] = ["id", "status", "updated_at"].map(|name| text_of(alert, name));
    format!("{id} is {status} (since {since})")
}

/// How far an alert is, in a sentence.
pub fn progress(alert: &Value) -> String {
    let progress = &alert["progress"];
    let [citizens, of, recipients] =
        ["citizens", "of", "recipients"].map(|name| text_of(progress, name));
    format!("{citizens} of {of} citizens visited, {recipients} recipients")
}

/// Whom an alert is for, at most `most` areas named.
pub fn audience(alert: &Value, most: usize) -> String {
    let audience = &alert["audience"];
    let Some(areas) = audience["areas"].as_array() else { return "everyone".to_owned() };
    let named: Vec<_> = areas.iter().take(most).filter_map(Value::as_str).collect();
    match areas.len().saturating_sub(most) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::audience;

    #[test]
    fn an_audience_names_as_many_areas_as_it_may() {
        assert_eq!(audience(&json!({"audience": {"everyone": true}}), 2), "everyone");
        let areas = |codes: &[&str]| audience(&json!({"audience": {"areas": codes}}), 2);
        assert_eq!(areas(&["015146", "03"]), "015146, 03");
        assert_eq!(areas(&["015146", "03", "016", "017"]), "015146, 03 and 2 more");
    }
}
