//! Which keys exist and of what type: read from the embedded defaults.

use std::collections::BTreeMap;

use toml::Value;

use super::DEFAULT_TOML;

/// The section of defaults for routes of a kind.
pub const ROUTE_KIND: &str = "route_kind";
/// The section that holds the routes.
pub const ROUTE: &str = "route";
/// The key of a route that names its kind.
pub const KIND: &str = "kind";

/// The known keys, dotted, with their defaults.
#[derive(Clone, Debug)]
pub struct Schema(BTreeMap<String, Value>);

impl Schema {
    /// The schema of this binary.
    #[expect(clippy::expect_used, reason = "embedded at build time, held by a test")]
    pub fn embedded() -> Self {
        let table: toml::Table = DEFAULT_TOML.parse().expect("config/default.toml is TOML");
        let mut keys = BTreeMap::new();
        flatten("", &Value::Table(table), &mut keys);
        Self(keys)
    }

    /// Every key with its default.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The kinds of routes there are.
    pub fn route_kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> = self
            .iter()
            .filter_map(|(key, _)| {
                key.strip_prefix(ROUTE_KIND)?.strip_prefix('.')?.split('.').next()
            })
            .collect();
        kinds.dedup();
        kinds
    }

    /// The default of `key`; for a key of a route, of any kind that has it.
    pub fn find(&self, key: &str) -> Option<&Value> {
        match route_key(key) {
            None => self.0.get(key),
            Some((_, KIND)) => self.0.get("store.kind"),
            Some((_, name)) => self
                .route_kinds()
                .into_iter()
                .find_map(|kind| self.0.get(&format!("{ROUTE_KIND}.{kind}.{name}"))),
        }
    }

    /// Whether `section` is the name of a table, or a part of one.
    pub fn has_section(&self, section: &str) -> bool {
        if section == ROUTE || (section.starts_with("route.") && section.matches('.').count() == 1)
        {
            return true;
        }
        self.0.keys().any(|key| key.strip_prefix(section).is_some_and(|rest| rest.starts_with('.')))
    }

    /// The known key that looks most like `key`.
    pub fn suggest(&self, key: &str) -> Option<String> {
        let known: Vec<String> = match route_key(key) {
            None => self.0.keys().cloned().collect(),
            Some((route, _)) => self
                .iter()
                .filter_map(|(known, _)| known.strip_prefix(ROUTE_KIND)?.rsplit('.').next())
                .chain([KIND])
                .map(|name| format!("{ROUTE}.{route}.{name}"))
                .collect(),
        };
        nearest(key, known.iter().map(String::as_str)).map(str::to_owned)
    }

    /// The known section that looks most like `section`.
    pub fn suggest_section(&self, section: &str) -> Option<String> {
        let sections = self.0.keys().filter_map(|key| key.rsplit_once('.').map(|(table, _)| table));
        nearest(section, sections.chain([ROUTE])).map(str::to_owned)
    }
}

/// Splits `route.NAME.KEY` into name and key.
pub fn route_key(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("route.")?.split_once('.')
}

/// The candidate most like `word`, if any is like it.
pub fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Below this likeness a suggestion misleads more than it helps.
    const LIKE: f64 = 0.72;
    candidates
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= LIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn flatten(prefix: &str, value: &Value, keys: &mut BTreeMap<String, Value>) {
    match value {
        Value::Table(table) => {
            for (name, value) in table {
                let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
                flatten(&key, value, keys);
            }
        }
        leaf => {
            keys.insert(prefix.to_owned(), leaf.clone());
        }
    }
}
