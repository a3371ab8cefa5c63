//! Values given as text: environment variables and `--set`.
//!
//! The text is read as the type the key has in the schema, so that
//! `ARALDO__NODE__ID=7` is a name and `ARALDO__HTTP__MAX_CONNECTIONS=7` a
//! number.

use toml::Value;

use super::error::{ConfigError, Origin};
use super::layers::Layers;
use super::schema::{ROUTE, route_key};

/// What the names of our variables start with.
const PREFIX: &str = "ARALDO__";

/// Reads the variables that are ours into `layers`.
pub fn read(variables: &[(String, String)], layers: &mut Layers) {
    for (name, value) in variables {
        if let Some(rest) = name.strip_prefix(PREFIX) {
            let key = route_by_name(&rest.to_lowercase().replace("__", "."), layers);
            set(&key, value, Origin::Environment(name.clone()), layers);
        }
    }
}

/// Reads `section.key=value` flags into `layers`.
pub fn read_flags(flags: &[String], layers: &mut Layers) {
    for flag in flags {
        match flag.split_once('=') {
            Some((key, value)) => set(key.trim(), value, Origin::Flag, layers),
            None => layers.error(ConfigError::new(
                Origin::Flag,
                flag,
                "has no value; write --set section.key=value",
            )),
        }
    }
}

/// Finds the route meant by a variable: names in variables have no case and
/// no hyphen. A route nobody else named is called as the variable says, in
/// lower case.
fn route_by_name(key: &str, layers: &Layers) -> String {
    let Some((wanted, rest)) = route_key(key) else { return key.to_owned() };
    let same = |name: &str| name.to_lowercase().replace('-', "_") == wanted.replace('-', "_");
    let known = layers.route_names().into_iter().find(|name| same(name));
    let name = known.unwrap_or_else(|| wanted.to_owned());
    format!("{ROUTE}.{name}.{rest}")
}

fn set(key: &str, text: &str, origin: Origin, layers: &mut Layers) {
    match layers.default_of(key) {
        None => layers.unknown_key(origin, key),
        Some(default) => match value_like(&default, text) {
            Some(value) => layers.set(key, value, origin),
            None => layers.error(ConfigError::new(
                origin,
                key,
                format!("expected {}", super::layers::type_name(&default)),
            )),
        },
    }
}

/// `text` as a value of the type of `default`.
fn value_like(default: &Value, text: &str) -> Option<Value> {
    Some(match default {
        Value::Integer(_) => Value::Integer(text.trim().replace('_', "").parse().ok()?),
        Value::Float(_) => Value::Float(text.trim().parse().ok()?),
        Value::Boolean(_) => Value::Boolean(text.trim().parse().ok()?),
        Value::Array(_) => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
        _ => Value::String(text.to_owned()),
    })
}
