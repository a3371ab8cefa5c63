//! The inbox as the app reads it: `GET /api/communication/v1/messages`, page by page, the archive too.
//!
//! Owns nothing. Bounded by [`MAX_PAGES`].

use serde_json::Value;

use crate::client::{Client, ClientError};

/// Pages of 100 read at most of either part.
const MAX_PAGES: usize = 1_000;

/// The ids of every message in the inbox of the token's citizen, as ULIDs in numbers.
///
/// # Errors
/// [`ClientError`]; a page without ids is [`ClientError::Json`].
pub async fn read_inbox(base: &str, token: &str) -> Result<Vec<u128>, ClientError> {
    let mut client = Client::new(base, Some(token))?;
    let mut ids = Vec::new();
    for archived in [false, true] {
        let mut next: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut path =
                format!("/api/communication/v1/messages?page_size=100&archived={archived}");
            if let Some(next) = &next {
                path.push_str("&maximum_id=");
                path.push_str(next);
            }
            let page = client.get(&path).await?;
            read_page(&page, &mut ids).map_err(|reason| ClientError::Json { path, reason })?;
            next = page["next"].as_str().map(str::to_owned);
            if next.is_none() {
                break;
            }
        }
    }
    Ok(ids)
}

fn read_page(page: &Value, ids: &mut Vec<u128>) -> Result<(), String> {
    let items = page["items"].as_array().ok_or("no `items`")?;
    for item in items {
        ids.push(message_id(item).ok_or("an item without a ULID as its id")?);
    }
    Ok(())
}

/// The id of an item of the list, or of an event's data.
pub(super) fn message_id(item: &Value) -> Option<u128> {
    ulid::Ulid::from_string(item["id"].as_str()?).ok().map(u128::from)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_gives_its_ids_and_a_strange_one_its_reason() {
        let mut ids = Vec::new();
        let page = json!({"items": [{"id": "01ARZ3NDEKTSV4RRFFQ69G5FAV"}], "next": null});
        read_page(&page, &mut ids).unwrap();
        assert_eq!(ulid::Ulid::from(ids[0]).to_string(), "01ARZ3NDEKTSV4RRFFQ69G5FAV");
        assert!(read_page(&json!({}), &mut ids).is_err());
        assert!(read_page(&json!({"items": [{"id": 7}]}), &mut ids).is_err());
    }
}
