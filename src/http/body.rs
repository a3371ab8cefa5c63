//! Request bodies: bounded in length and time, parsed once.

use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::{Path, Query};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::HeaderMap;
use hyper::header::CONTENT_LENGTH;
use serde::de::value::{self, MapAccessDeserializer};
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::app::App;
use super::problem::{Kind, Problem};
use crate::config::nearest;

/// Parts of the path; a path that cannot be read is a problem.
#[derive(FromRequestParts)]
#[from_request(via(Path), rejection(Problem))]
pub struct Segments<T>(pub T);

/// The query; one that cannot be read is a problem.
#[derive(FromRequestParts)]
#[from_request(via(Query), rejection(Problem))]
pub struct Arguments<T>(pub T);

/// A `T` written as a JSON object, and only so.
///
/// What serde derives for a struct takes a list of its fields in their order
/// as well; the contract knows objects only, and whoever sends a list means
/// something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object<T>(pub T);

impl<T> Deref for Object<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Self)
    }
}

/// Takes a map; everything else is refused by what [`Visitor`] does unasked.
struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// Reads a whole body of at most `limit` bytes within the request timeout.
pub async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    let too_large =
        || Problem::new(Kind::TooLarge, format!("the body is longer than {limit} bytes"));
    let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if declared.is_some_and(|length: u64| length > limit as u64) {
        return Err(too_large());
    }
    let reading = Limited::new(body, limit).collect();
    match tokio::time::timeout(app.options().request_timeout, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Problem::invalid("the body ended before its end")),
        Err(_) => Err(Problem::new(Kind::RequestTimeout, "the body took too long to arrive")),
    }
}

/// Parses a JSON body, which must be an object.
///
/// The first pass is the fast one; only what it refuses is parsed again to
/// learn the path of the fault.
pub fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    parse(body).map_err(|_| match fault::<T>(body) {
        Some((field, reason)) if !field.is_empty() => Problem::field(field, reason),
        Some((_, reason)) => Problem::invalid(format!("the body {reason}")),
        None => Problem::invalid("the body is not readable"),
    })
}

/// Parses an object; says nothing of what is wrong: see [`fault`].
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice::<Object<T>>(body).map(|object| object.0)
}

/// Where and why `body` is not a `T`; the field is empty for the whole.
pub fn fault<T: DeserializeOwned>(body: &[u8]) -> Option<(String, String)> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let error = match serde_path_to_error::deserialize::<_, Object<T>>(&mut reader) {
        Ok(_) => return reader.end().err().map(|error| syntax(&error)),
        Err(error) => error,
    };
    let path = match error.path().to_string().as_str() {
        "." => String::new(),
        path => path.to_owned(),
    };
    let inner = error.into_inner();
    let message = inner.to_string();
    if inner.is_data() {
        return Some(explain(path, &message));
    }
    // Where a word is wanted serde_json calls a number or null a fault of the
    // syntax.
    let is_json = || serde_json::from_slice::<IgnoredAny>(body).is_ok();
    if message.starts_with("expected value") && !path.is_empty() && is_json() {
        return Some((path, "must be one of the known words".to_owned()));
    }
    Some(syntax(&inner))
}

fn syntax(error: &serde_json::Error) -> (String, String) {
    let reason = match (error.is_eof(), error.line(), error.column()) {
        (true, ..) => "is not complete JSON".to_owned(),
        (false, line, column) => format!("is not JSON: line {line}, column {column}"),
    };
    (String::new(), reason)
}

/// Says serde's message anew, without the value it quotes: that may be
/// somebody's.
fn explain(path: String, message: &str) -> (String, String) {
    let message = message.split(" at line ").next().unwrap_or(message);
    let quoted = message.split('`').nth(1).unwrap_or_default();
    let below =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if message.starts_with("missing field") {
        return (below(quoted), "is missing".to_owned());
    }
    if message.starts_with("duplicate field") {
        return (below(quoted), "is given twice".to_owned());
    }
    let expected = message.rsplit_once("expected ").map_or("", |(_, expected)| expected);
    if message.starts_with("unknown field") {
        // The path names the unknown field already.
        let known: Vec<_> = expected.split('`').skip(1).step_by(2).collect();
        let hint = nearest(quoted, known.into_iter())
            .map_or_else(String::new, |name| format!(" (did you mean \"{name}\"?)"));
        let plain =
            quoted.len() <= 40 && quoted.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        let name = if plain { format!(" \"{quoted}\"") } else { String::new() };
        let parent = path.strip_suffix(quoted).unwrap_or(&path).trim_end_matches('.');
        return (parent.to_owned(), format!("has a field{name} that is not known{hint}"));
    }
    if message.starts_with("unknown variant") {
        return (path, format!("must be {}", expected.replace('`', "\"")));
    }
    if expected.is_empty() {
        // Our own deserializers' messages quote nothing.
        return (path, message.to_owned());
    }
    (path, format!("must be {}", in_json_words(expected)))
}

/// Which argument of a query was refused, and why; none when nobody knows.
pub fn argument_fault(rejection: &(dyn Error + 'static)) -> Option<(String, String)> {
    // The fault lies below what axum wraps it in.
    let mut below = Some(rejection);
    while let Some(error) = below {
        if let Some(found) = error.downcast_ref::<serde_path_to_error::Error<value::Error>>() {
            return explain_argument(found.path().to_string(), &found.inner().to_string());
        }
        below = error.source();
    }
    None
}

fn explain_argument(path: String, message: &str) -> Option<(String, String)> {
    let path = if path == "." { String::new() } else { path };
    // What std says of a text that is no number or no truth value.
    let reason = match message {
        "provided string was not `true` or `false`" => "must be true or false",
        text if text.contains("digit") || text.starts_with("number too") => {
            "must be a whole number, not negative, and not too large"
        }
        text if text.starts_with("cannot parse integer") => "must be a whole number",
        _ => {
            return Some(explain(path, message)).filter(|(argument, _)| !argument.is_empty());
        }
    };
    (!path.is_empty()).then(|| (path, reason.to_owned()))
}

fn in_json_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
        "i32" | "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "a text",
        "a sequence" => "a list",
        "a map" => "an object",
        text if text.starts_with("struct ") => "an object",
        text if text.starts_with("enum ") || text.contains("variant") => "one of the known words",
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{Object, fault};
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Outer {
        inner: Object<Inner>,
        #[serde(default)]
        level: Option<Level>,
    }

    #[derive(Deserialize)]
    #[expect(dead_code, reason = "only its shape matters")]
    struct Inner {
        count: u32,
    }

    #[derive(Deserialize)]
    enum Level {
        #[serde(rename = "LOW")]
        Low,
        #[serde(rename = "HIGH")]
        High,
    }

    fn told(body: &str) -> (String, String) {
        fault::<Outer>(body.as_bytes()).expect("this body has a fault")
    }

    #[test]
    fn a_wrong_type_names_its_field_and_not_its_value() {
        let (field, reason) = told(r#"{"inner":{"count":"RSSMRA85T10A562S"}}"#);
        assert_eq!(field, "inner.count");
        assert_eq!(reason, "must be a whole number, not negative");
        let (field, _) = told(r#"{"inner":{"count":-1}}"#);
        assert_eq!(field, "inner.count");
    }

    #[test]
    fn a_list_is_no_object_however_well_its_items_fit() {
        let object = "must be an object".to_owned();
        assert_eq!(told(r#"{"inner":[1]}"#), ("inner".to_owned(), object.clone()));
        assert_eq!(told(r#"{"inner":[]}"#), ("inner".to_owned(), object.clone()));
        assert_eq!(told(r#"[{"count":1}]"#), (String::new(), object));
    }

    #[test]
    fn a_missing_and_an_unknown_field_are_named() {
        assert_eq!(told(r#"{"inner":{}}"#), ("inner.count".to_owned(), "is missing".to_owned()));
        let (field, reason) = told(r#"{"inner":{"count":1},"levl":"LOW"}"#);
        assert_eq!(field, "");
        assert_eq!(reason, "has a field \"levl\" that is not known (did you mean \"level\"?)");
    }

    #[test]
    fn a_word_that_is_not_known_is_answered_with_those_that_are() {
        let (field, reason) = told(r#"{"inner":{"count":1},"level":"RSSMRA85T10A562S"}"#);
        assert_eq!(field, "level");
        assert_eq!(reason, "must be \"LOW\" or \"HIGH\"");
        let (field, reason) = told(r#"{"inner":{"count":1},"level":1}"#);
        assert_eq!((field.as_str(), reason.as_str()), ("level", "must be one of the known words"));
        assert_eq!(told(r#"{"inner":{"count":1},"level":nope}"#).0, "", "that is no JSON");
    }

    #[test]
    fn what_is_not_json_is_placed() {
        assert_eq!(told("{\"inner\": nope}").1, "is not JSON: line 1, column 12");
        assert_eq!(told("{\"inner\":").1, "is not complete JSON");
        assert_eq!(told("").1, "is not complete JSON");
        assert_eq!(told("{\"inner\":{\"count\":1}} x").1, "is not JSON: line 1, column 23");
    }
}
