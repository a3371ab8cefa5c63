//! What the dashboard asks, read from its own file.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// A panel's question to Prometheus.
#[derive(Debug)]
pub struct Query {
    pub panel: String,
    /// As sent, once Grafana has filled its variables in.
    pub expr: String,
    /// Labels that its legend shows.
    pub legend: Vec<String>,
}

/// The dashboard.
pub struct Dashboard {
    pub queries: Vec<Query>,
    /// Queries of its variables.
    pub variables: Vec<String>,
}

/// A file of `dashboards`.
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards").join(name)
}

impl Dashboard {
    /// Reads one, with variables as Grafana would fill them in: every server,
    /// rates over `rate`, and `range` shown.
    pub fn read(file: &str, rate: &str, range: &str) -> Self {
        let text = std::fs::read_to_string(path(file)).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        let filled = |expr: &str| {
            let filled = expr
                .replace("$__rate_interval", rate)
                .replace("$__range", range)
                .replace("$instance", ".*");
            assert!(!filled.contains('$'), "a variable this test does not know: {expr}");
            filled
        };
        let panels = file["panels"].as_array().unwrap();
        let queries = panels.iter().flat_map(|panel| {
            let targets = panel["targets"].as_array().unwrap();
            targets.iter().map(|target| Query {
                panel: panel["title"].as_str().unwrap().to_owned(),
                expr: filled(target["expr"].as_str().unwrap()),
                legend: labels(target["legendFormat"].as_str().unwrap()),
            })
        });
        let list = file["templating"]["list"].as_array().unwrap();
        let variables = list.iter().filter(|variable| variable["type"] == "query");
        Self {
            queries: queries.collect(),
            variables: variables
                .map(|variable| variable["query"]["query"].as_str().unwrap().to_owned())
                .collect(),
        }
    }

    /// The questions of a panel.
    pub fn of(&self, panel: &str) -> Vec<&Query> {
        let found: Vec<_> = self.queries.iter().filter(|query| query.panel == panel).collect();
        assert!(!found.is_empty(), "no panel `{panel}`");
        found
    }
}

/// The labels between double braces.
fn labels(legend: &str) -> Vec<String> {
    let parts = legend.split("{{").skip(1);
    parts.map(|part| part.split("}}").next().unwrap().trim().to_owned()).collect()
}

/// Selector and label of `label_values(selector, label)`.
pub fn label_values(query: &str) -> (&str, &str) {
    let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
    let inner = inner.unwrap_or_else(|| panic!("not label_values(selector, label): {query}"));
    let (selector, label) = inner.rsplit_once(',').unwrap();
    (selector.trim(), label.trim())
}
