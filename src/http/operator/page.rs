//! Lists of the operator API, in pages.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::problem::Problem;

/// Most items in a page, and how many when nothing is said.
const MOST: usize = 1000;

/// Which part of a list is wanted.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// Most items to answer, 1 to 1000.
    limit: Option<usize>,
    /// Go on after the item with this identifier: `next` of the page before.
    after: Option<String>,
}

/// A part of a list.
#[derive(Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    items: Vec<T>,
    /// Pass it as `after` to go on; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl PageQuery {
    /// The wanted part of `all`, whose items `id` names.
    pub fn cut<T, U>(
        self,
        all: &[T],
        id: impl Fn(&T) -> &str,
        show: impl Fn(&T) -> U,
    ) -> Result<Page<U>, Problem> {
        let limit = self.limit.unwrap_or(MOST);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::field("limit", "must be 1 to 1000"));
        }
        let start = match &self.after {
            None => 0,
            Some(after) => {
                let place = all.iter().position(|item| id(item) == after);
                place.ok_or_else(|| Problem::field("after", "is not in this list any more"))? + 1
            }
        };
        let rest = &all[start..];
        let items = &rest[..limit.min(rest.len())];
        let next = (items.len() < rest.len()).then(|| items.last().map(|item| id(item).to_owned()));
        Ok(Page { items: items.iter().map(show).collect(), next: next.flatten() })
    }
}

#[cfg(test)]
mod tests {
    use super::PageQuery;

    fn page(limit: Option<usize>, after: Option<&str>) -> Option<(Vec<String>, Option<String>)> {
        let all = ["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let query = PageQuery { limit, after: after.map(str::to_owned) };
        let page = query.cut(&all, |item| item.as_str(), Clone::clone).ok()?;
        Some((page.items, page.next))
    }

    #[test]
    fn pages_follow_each_other_to_the_end() {
        let strings = |items: &[&str]| items.iter().map(|item| (*item).to_owned()).collect();
        assert_eq!(page(Some(2), None), Some((strings(&["a", "b"]), Some("b".to_owned()))));
        assert_eq!(page(Some(2), Some("b")), Some((strings(&["c"]), None)));
        assert_eq!(page(None, None), Some((strings(&["a", "b", "c"]), None)));
        assert_eq!(page(Some(0), None), None);
        assert_eq!(page(None, Some("x")), None);
    }
}
