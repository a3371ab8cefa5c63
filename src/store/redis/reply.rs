//! Reading what Redis answered.
//!
//! An answer of another form than the question asks for is damage: what is
//! stored under our keys is not ours.

use redis::Value;

use araldo_actors::port::store::StoreError;

/// The error for an answer that cannot be right; `what` says which question.
pub(super) fn unexpected(what: &str) -> StoreError {
    StoreError::Damaged(format!("Redis holds something else than {what}"))
}

/// A row, or none.
pub(super) fn row(value: Value, what: &str) -> Result<Option<Vec<u8>>, StoreError> {
    match value {
        Value::Nil | Value::Boolean(false) => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        _ => Err(unexpected(what)),
    }
}

/// Several answers in one.
pub(super) fn list(value: Value, what: &str) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(values) => Ok(values),
        Value::Nil => Ok(Vec::new()),
        _ => Err(unexpected(what)),
    }
}

/// Rows, or nones, in the order asked for.
pub(super) fn rows(value: Value, what: &str) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
    list(value, what)?.into_iter().map(|value| row(value, what)).collect()
}

/// Rows that are all there.
pub(super) fn members(value: Value, what: &str) -> Result<Vec<Vec<u8>>, StoreError> {
    rows(value, what)?.into_iter().map(|row| row.ok_or_else(|| unexpected(what))).collect()
}

/// Members with their scores, which are whole numbers.
pub(super) fn scored(value: Value, what: &str) -> Result<Vec<(Vec<u8>, u64)>, StoreError> {
    let mut parts = list(value, what)?.into_iter();
    let mut found = Vec::with_capacity(parts.len() / 2);
    while let Some(member) = parts.next() {
        let score = number(parts.next().unwrap_or_default(), what)?;
        let member = row(member, what)?.ok_or_else(|| unexpected(what))?;
        found.push((member, score.ok_or_else(|| unexpected(what))?));
    }
    Ok(found)
}

/// A whole number, or none.
pub(super) fn number(value: Value, what: &str) -> Result<Option<u64>, StoreError> {
    let read = match value {
        Value::Nil => return Ok(None),
        Value::Int(number) => u64::try_from(number).ok(),
        Value::BulkString(bytes) => digits(&bytes),
        Value::SimpleString(text) => digits(text.as_bytes()),
        _ => None,
    };
    read.map(Some).ok_or_else(|| unexpected(what))
}

/// A whole number that must be there.
pub(super) fn count(value: Value, what: &str) -> Result<u64, StoreError> {
    number(value, what)?.ok_or_else(|| unexpected(what))
}

/// A number as Redis writes scores and counters.
pub(super) fn digits(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The next of several answers.
pub(super) fn next(values: &mut impl Iterator<Item = Value>) -> Value {
    values.next().unwrap_or_default()
}
