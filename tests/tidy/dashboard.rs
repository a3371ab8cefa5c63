//! The dashboard's file: what Grafana and its readers need, held without
//! either. Whether its expressions answer is the matter of `tests/it`.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use super::{report, root};

/// The oldest file format of the Grafana releases it is for (10 and 11).
const SCHEMA: u64 = 36;
/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;
/// Where metrics are named.
const NAMES: [&str; 2] = ["actors/src/metric.rs", "src/telemetry/metric.rs"];

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Both pages.
fn dashboards() -> [Value; 2] {
    ["alert.json", "cluster.json"]
        .map(|file| serde_json::from_str(&read(&format!("dashboards/{file}"))).unwrap())
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

fn title(panel: &Value) -> &str {
    panel["title"].as_str().unwrap_or("a panel without a title")
}

fn targets(panel: &Value) -> &[Value] {
    panel["targets"].as_array().map_or(&[], Vec::as_slice)
}

/// Left, top, right, bottom.
fn place(panel: &Value) -> [u64; 4] {
    let of = |name: &str| panel["gridPos"][name].as_u64().unwrap();
    [of("x"), of("y"), of("x") + of("w"), of("y") + of("h")]
}

fn overlap(one: [u64; 4], other: [u64; 4]) -> bool {
    one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3]
}

/// The names before a brace, and every other word that looks like a metric.
fn metrics(expr: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (mut named, mut bare) = (BTreeSet::new(), BTreeSet::new());
    let mut rest = expr;
    while let Some(start) = rest.find(is_word) {
        rest = &rest[start..];
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if after.starts_with('{') {
            named.insert(word);
        } else if word.starts_with("araldo_") || word.starts_with("process_") {
            bare.insert(word);
        }
        rest = after;
    }
    (named, bare)
}

/// Whether a metric of this name is described where ours are, or is one that
/// Prometheus makes itself.
fn is_known(name: &str, sources: &str) -> bool {
    let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
    let quoted = |name: &str| {
        ['"', '`'].iter().any(|quote| sources.contains(&format!("{quote}{name}{quote}")))
    };
    name == "up" || quoted(name) || base.is_some_and(quoted)
}

#[test]
fn panels_are_told_apart_and_cover_nobody() {
    for dashboard in dashboards() {
        let panels = panels(&dashboard);
        assert!(dashboard["schemaVersion"].as_u64().unwrap() >= SCHEMA);
        let mut faults = Vec::new();
        let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
        for (index, panel) in panels.iter().enumerate() {
            let name = title(panel);
            if !ids.insert(panel["id"].as_u64().unwrap()) || !titles.insert(name) {
                faults.push(format!("{name}: id or title twice"));
            }
            if place(panel)[2] > COLUMNS {
                faults.push(format!("{name}: wider than the grid"));
            }
            let covered = panels[..index].iter().filter(|one| overlap(place(one), place(panel)));
            faults.extend(covered.map(|one| format!("{name}: over {}", title(one))));
        }
        report(&faults);
    }
}

#[test]
fn panels_say_what_they_show_in_which_unit() {
    for dashboard in dashboards() {
        let mut faults = Vec::new();
        for panel in panels(&dashboard) {
            let name = title(panel);
            if panel["description"].as_str().unwrap_or_default().len() < 40 {
                faults.push(format!("{name}: no description to speak of"));
            }
            if panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default().is_empty() {
                faults.push(format!("{name}: no unit"));
            }
            if targets(panel).is_empty() {
                faults.push(format!("{name}: asks nothing"));
            }
            let refs: BTreeSet<_> =
                targets(panel).iter().map(|one| one["refId"].as_str()).collect();
            if refs.len() != targets(panel).len() {
                faults.push(format!("{name}: a refId twice"));
            }
            let lines = targets(panel).len() > 1
                || targets(panel).iter().any(|one| one["expr"].as_str().unwrap().contains(" by ("));
            let named = |one: &Value| !one["legendFormat"].as_str().unwrap_or_default().is_empty();
            let single = panel["type"] == "stat" && targets(panel).len() == 1;
            if lines && !single && !targets(panel).iter().all(named) {
                faults.push(format!("{name}: lines without a name"));
            }
        }
        report(&faults);
    }
}

#[test]
fn the_data_source_is_the_readers_choice() {
    fn sources<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, value)| {
                if name == "datasource" {
                    found.push(value);
                }
                sources(value, found);
            }),
            Value::Array(list) => list.iter().for_each(|value| sources(value, found)),
            _ => {}
        }
    }
    for dashboard in dashboards() {
        let mut found = Vec::new();
        sources(&dashboard, &mut found);
        let fixed = |source: &&Value| {
            let uid = source["uid"].as_str().unwrap_or_default();
            !["${datasource}", "-- Grafana --"].contains(&uid)
        };
        let faults: Vec<_> = found.into_iter().filter(fixed).map(ToString::to_string).collect();
        report(&faults);
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        assert!(
            variables.iter().any(|one| one["name"] == "datasource" && one["type"] == "datasource")
        );
        for panel in panels(&dashboard) {
            let own = |value: &Value| value["datasource"]["uid"] == "${datasource}";
            assert!(own(panel) && targets(panel).iter().all(own), "{}", title(panel));
        }
    }
}

#[test]
fn panels_ask_for_metrics_there_are() {
    let sources: String = NAMES.iter().map(|name| read(name)).collect();
    for dashboard in dashboards() {
        let mut faults = Vec::new();
        for panel in panels(&dashboard) {
            for target in targets(panel) {
                let expr = target["expr"].as_str().unwrap();
                let (named, bare) = metrics(expr);
                if named.is_empty() {
                    faults.push(format!("{}: names no metric: {expr}", title(panel)));
                }
                let unknown = named.iter().filter(|name| !is_known(name, &sources));
                faults.extend(unknown.map(|name| format!("{}: {name} is nowhere", title(panel))));
                // Each is asked of the servers chosen at the top of the page.
                faults.extend(
                    bare.iter().map(|name| format!("{}: {name} without a server", title(panel))),
                );
            }
        }
        report(&faults);
    }
}

#[test]
fn the_readme_says_what_to_do_about_each_panel() {
    let dashboards = dashboards();
    let titles: BTreeSet<_> = dashboards.iter().flat_map(panels).map(title).collect();
    let readme = read("dashboards/README.md");
    // Rows of the tables: | **panel** | question | when it looks wrong |
    let rows: BTreeSet<_> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| **")?.split_once("** |"))
        .map(|(title, rest)| {
            let cells: Vec<_> = rest.trim().trim_end_matches('|').split('|').collect();
            assert!(cells.len() == 2 && cells.iter().all(|cell| cell.trim().len() > 10), "{title}");
            title
        })
        .collect();
    let faults: Vec<_> = titles
        .symmetric_difference(&rows)
        .map(|title| format!("only on one side: {title}"))
        .collect();
    report(&faults);
}
