//! The configuration file: TOML with the line of every key.

use std::path::Path;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Origin};
use super::layers::Layers;

/// Longest file that is read; a configuration is a few kilobytes.
const MAX_BYTES: u64 = 1 << 20;

/// Reads `path` into `layers`; what is wrong with it goes there too.
pub fn read(path: &Path, layers: &mut Layers) {
    let whole = Origin::File { path: path.to_owned(), line: 0 };
    match text_of(path) {
        Ok(text) => parse(path, &text, layers),
        Err(reason) => layers.error(ConfigError::new(whole, "", reason)),
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let size = std::fs::metadata(path).map_err(|error| format!("cannot be read: {error}"))?.len();
    if size > MAX_BYTES {
        return Err(format!("is {size} bytes long, more than {MAX_BYTES}: not a configuration"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

/// Parses `text`. On a syntax error nothing of it is used, and every syntax
/// error is reported; the parser's own rendering is not, since it quotes the
/// line.
fn parse(path: &Path, text: &str, layers: &mut Layers) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let at = |offset: usize| Origin::File { path: path.to_owned(), line: line_of(text, offset) };
    for error in &errors {
        let origin = at(error.span().map_or(0, |span| span.start));
        layers.error(ConfigError::new(origin, "", error.message()));
    }
    if errors.is_empty() {
        walk("", table.get_ref(), &at, layers);
    }
}

fn walk(prefix: &str, table: &DeTable<'_>, at: &dyn Fn(usize) -> Origin, layers: &mut Layers) {
    for (name, value) in table {
        let origin = at(name.span().start);
        let name = name.get_ref();
        let key = if prefix.is_empty() { name.to_string() } else { format!("{prefix}.{name}") };
        match value.get_ref() {
            DeValue::Table(inner) if layers.knows_section(&key) => walk(&key, inner, at, layers),
            DeValue::Table(_) => layers.unknown_section(origin, &key),
            leaf => match value_of(leaf) {
                Some(value) => layers.set(&key, value, origin),
                None => layers.error(ConfigError::new(origin, &key, "the number is too large")),
            },
        }
    }
}

/// The plain value; `None` for a number that does not fit.
fn value_of(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok()?)
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().ok()?),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(value) => Value::Datetime(*value),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| value_of(item.get_ref())).collect::<Option<_>>()?)
        }
        // Inside a list; refused by the type check of the key.
        DeValue::Table(_) => Value::Table(toml::Table::new()),
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
