//! The refusals that no handler has to name, because they come from what is
//! around it: keys, limits of bodies and time, panics caught.
//!
//! A handler that says one of them in its own words keeps its words.

use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{Content, OpenApi, Ref, Response, ResponseBuilder};

/// Adds to every operation the refusals that can come of its form.
pub fn describe(description: &mut OpenApi) {
    for item in description.paths.paths.values_mut() {
        let PathItem { get, put, post, delete, .. } = item;
        for (operation, writes) in [(get, false), (put, true), (post, true), (delete, true)] {
            if let Some(operation) = operation {
                add(operation, writes);
            }
        }
    }
}

fn add(operation: &mut Operation, writes: bool) {
    let keyed = operation.security.is_some();
    let is = |name| operation.tags.iter().flatten().any(|tag| tag == name);
    let (sender, citizen, link) = (is("sender"), is("citizen"), is("links"));
    let body = operation.request_body.is_some();
    let asked = body || operation.parameters.as_ref().is_some_and(|given| !given.is_empty());
    for (occurs, status, words) in [
        (asked, "400", "Not as this description asks; `errors` names the fields"),
        (citizen, "401", "No token, or one that is not valid, over or revoked"),
        (citizen, "429", "This citizen calls too often; see Retry-After"),
        (keyed, "401", "No key, or an unknown one"),
        (keyed && !citizen, "403", "The key may not do this"),
        (body, "408", "The body took too long to arrive"),
        (body, "413", "The body is too long"),
        (true, "500", "A defect of the server; the request may be repeated"),
        // What an operator lists is in memory; everything else asks the store.
        (
            writes || sender || citizen || link,
            "503",
            "The store does not answer; see `type` and Retry-After",
        ),
    ] {
        if occurs {
            let refusals = &mut operation.responses.responses;
            refusals.entry(status.to_owned()).or_insert_with(|| problem(words).into());
        }
    }
}

fn problem(words: &str) -> Response {
    let schema = Content::new(Some(Ref::from_schema_name("ProblemJson")));
    ResponseBuilder::new().description(words).content("application/problem+json", schema).build()
}
