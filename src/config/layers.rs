//! The sources laid over each other, each value with its origin.

use std::collections::BTreeMap;
use std::fmt;

use toml::Value;

use super::error::{ConfigError, Origin};
use super::redis;
use super::schema::{KIND, ROUTE_KIND, Schema, nearest, route_key};

/// A value and where it came from.
#[derive(Clone, Debug)]
pub struct Entry {
    pub value: Value,
    pub origin: Origin,
}

/// Values collected so far; a later source replaces an earlier one.
pub struct Layers {
    schema: Schema,
    entries: BTreeMap<String, Entry>,
    errors: Vec<ConfigError>,
}

impl Layers {
    /// Only the defaults.
    pub fn of_defaults() -> Self {
        let schema = Schema::embedded();
        let entries = schema
            .iter()
            .map(|(key, value)| {
                (key.to_owned(), Entry { value: value.clone(), origin: Origin::Default })
            })
            .collect();
        Self { schema, entries, errors: Vec::new() }
    }

    /// Notes an error.
    pub fn error(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    /// Sets a value after checking that its key exists and its type fits.
    pub fn set(&mut self, key: &str, value: Value, origin: Origin) {
        let Some(default) = self.schema.find(key) else {
            return self.unknown_key(origin, key);
        };
        if std::mem::discriminant(default) == std::mem::discriminant(&value) {
            self.entries.insert(key.to_owned(), Entry { value, origin });
        } else {
            let reason = format!("expected {}, found {}", type_name(default), type_name(&value));
            self.errors.push(ConfigError::new(origin, key, reason));
        }
    }

    /// Whether `section` exists.
    pub fn knows_section(&self, section: &str) -> bool {
        self.schema.has_section(section)
    }

    /// The default of `key`, whose type its values have.
    pub fn default_of(&self, key: &str) -> Option<Value> {
        self.schema.find(key).cloned()
    }

    /// Notes a key that does not exist.
    pub fn unknown_key(&mut self, origin: Origin, key: &str) {
        let reason = if self.schema.has_section(key) {
            "is a section, not a value"
        } else {
            "there is no such key"
        };
        let suggestion = self.schema.suggest(key);
        self.errors.push(ConfigError::new(origin, key, reason).suggesting(suggestion));
    }

    /// Notes a section that does not exist.
    pub fn unknown_section(&mut self, origin: Origin, section: &str) {
        let reason = if self.schema.find(section).is_some() {
            "is a value, not a section"
        } else {
            "there is no such section"
        };
        let suggestion = self.schema.suggest_section(section).filter(|name| name != section);
        self.errors.push(ConfigError::new(origin, section, reason).suggesting(suggestion));
    }

    /// The routes named so far.
    pub fn route_names(&self) -> Vec<String> {
        let names = self.entries.keys().filter_map(|key| route_key(key));
        let mut names: Vec<String> = names.map(|(name, _)| name.to_owned()).collect();
        names.dedup();
        names
    }

    /// Completes each route with the values of its kind.
    pub fn merge(mut self) -> (Effective, Vec<ConfigError>) {
        for name in self.route_names() {
            self.complete_route(&name);
        }
        (Effective { entries: self.entries }, self.errors)
    }

    fn complete_route(&mut self, name: &str) {
        let Some(kind) = self.kind_of(name) else { return };
        let prefix = format!("{ROUTE_KIND}.{kind}.");
        let inherited: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, entry)| Some((key.strip_prefix(&prefix)?.to_owned(), entry.clone())))
            .collect();
        let own = format!("route.{name}.");
        let foreign: Vec<_> = self
            .entries
            .iter()
            .filter_map(|(key, entry)| Some((key.strip_prefix(&own)?, entry)))
            .filter(|(key, _)| *key != KIND && !inherited.iter().any(|(known, _)| known == key))
            .map(|(key, entry)| (format!("{own}{key}"), entry.origin.clone()))
            .collect();
        for (key, origin) in foreign {
            let reason = format!("a route of kind \"{kind}\" has no such key");
            self.errors.push(ConfigError::new(origin, &key, reason));
        }
        for (key, entry) in inherited {
            self.entries.entry(format!("{own}{key}")).or_insert(entry);
        }
    }

    /// The kind of route `name`, if it says a known one.
    fn kind_of(&mut self, name: &str) -> Option<String> {
        let own = format!("route.{name}.");
        let kinds = self.schema.route_kinds();
        let list = kinds.join("\" or \"");
        match self.entries.get(&format!("{own}{KIND}")) {
            Some(Entry { value: Value::String(kind), .. }) if kinds.contains(&kind.as_str()) => {
                Some(kind.clone())
            }
            Some(entry) => {
                let given = entry.value.as_str().unwrap_or_default();
                let error = ConfigError::new(
                    entry.origin.clone(),
                    &format!("{own}{KIND}"),
                    format!("there is no kind of route \"{given}\"; use \"{list}\""),
                );
                let suggestion = nearest(given, kinds.iter().copied()).map(str::to_owned);
                self.errors.push(error.suggesting(suggestion));
                None
            }
            None => {
                let first = self.entries.iter().find(|(key, _)| key.starts_with(&own));
                let origin = first.map_or(Origin::Default, |(_, entry)| entry.origin.clone());
                let reason = format!("is missing; use \"{list}\"");
                self.errors.push(ConfigError::new(origin, &format!("{own}{KIND}"), reason));
                None
            }
        }
    }
}

/// Every value in force, with its origin.
#[derive(Clone, Debug)]
pub struct Effective {
    entries: BTreeMap<String, Entry>,
}

impl Effective {
    /// The value of `key`.
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The names of the routes, in order.
    pub(super) fn route_names(&self) -> Vec<&str> {
        let names = self.entries.keys().filter_map(|key| route_key(key));
        let mut names: Vec<_> = names.map(|(name, _)| name).collect();
        names.dedup();
        names
    }

    /// The keys that hold a value.
    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }
}

/// As TOML, each value with its origin in a comment; passwords are not shown.
impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut section = None;
        for (key, entry) in &self.entries {
            let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
            if section != Some(table) {
                let gap = if section.is_some() { "\n" } else { "" };
                writeln!(f, "{gap}[{table}]")?;
                section = Some(table);
            }
            let line = format!("{name} = {}", redis::shown(key, &entry.value));
            writeln!(f, "{line:<48} # {}", entry.origin)?;
        }
        Ok(())
    }
}

/// A type in words.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}
