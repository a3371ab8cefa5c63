//! `/app`: the citizen's own page.
//!
//! Owns: serving its files, which are compiled into the binary. The page is a
//! client of the public citizen API, with no right of its own; this module
//! knows no citizen and no token.
//!
//! Invariants: nothing is fetched from any other host, and the browser is told
//! so (`Content-Security-Policy` without `unsafe-inline`, and Trusted Types
//! without any policy: no string ever becomes markup or code). Every answer
//! is asked about again (`no-cache` with an `ETag` of the content), so that
//! files of two releases are never mixed.
//!
//! On a crash nothing is lost: there is no state.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, StatusCode};

use super::app::App;
use super::problem::Problem;

/// What the browser may do: run, style and ask what comes from here. Frames,
/// forms, plug-ins, inline code and other hosts are refused.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";
/// Abilities of the browser that the page does without.
const ABILITIES: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    content: &'static [u8],
}

macro_rules! file {
    ($name:literal, $kind:expr) => {
        File { name: $name, kind: $kind, content: include_bytes!(concat!("page/", $name)) }
    };
}

const FILES: &[File] = &[
    file!("index.html", HTML),
    file!("app.css", CSS),
    file!("icon.svg", SVG),
    file!("account.js", SCRIPT),
    file!("api.js", SCRIPT),
    file!("calendar.js", SCRIPT),
    file!("dom.js", SCRIPT),
    file!("english.js", SCRIPT),
    file!("events.js", SCRIPT),
    file!("format.js", SCRIPT),
    file!("inbox.js", SCRIPT),
    file!("italian.js", SCRIPT),
    file!("language.js", SCRIPT),
    file!("live.js", SCRIPT),
    file!("main.js", SCRIPT),
    file!("markdown.js", SCRIPT),
    file!("say.js", SCRIPT),
    file!("session.js", SCRIPT),
    file!("view_activation.js", SCRIPT),
    file!("view_data.js", SCRIPT),
    file!("view_devices.js", SCRIPT),
    file!("view_inbox.js", SCRIPT),
    file!("view_message.js", SCRIPT),
    file!("view_preferences.js", SCRIPT),
    file!("view_profile.js", SCRIPT),
    file!("view_sign_in.js", SCRIPT),
];

/// The `ETag` of each file, in their order.
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let tag = |file: &File| format!("\"{}\"", &blake3::hash(file.content).to_hex()[..32]);
    FILES.iter().map(tag).collect()
});

/// Adds the page to `routes`.
pub fn serve(routes: Router<App>) -> Router<App> {
    let index = async |headers: HeaderMap| answer("index.html", &headers);
    let file = async |Path(name): Path<String>, headers: HeaderMap| answer(&name, &headers);
    routes.route("/app", get(index)).route("/app/", get(index)).route("/app/{file}", get(file))
}

fn answer(name: &str, asked: &HeaderMap) -> Response {
    let found = FILES.iter().zip(TAGS.iter()).find(|(file, _)| file.name == name);
    let Some((file, tag)) = found else {
        return Problem::not_found("the page has no such file").into_response();
    };
    let unchanged = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| matches!(one.trim().trim_start_matches("W/"), "*") || same(one, tag));
    let mut response = if unchanged {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        file.content.into_response()
    };
    let headers = response.headers_mut();
    if unchanged {
        headers.remove(header::CONTENT_TYPE);
    } else {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.kind));
    }
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    for (name, value) in protections() {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Weak comparison (RFC 9110, section 8.8.3.2).
fn same(given: &str, tag: &str) -> bool {
    given.trim().trim_start_matches("W/") == tag
}

fn protections() -> [(HeaderName, &'static str); 7] {
    [
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), ABILITIES),
    ]
}

#[cfg(test)]
mod tests;
