//! `/openapi.json`: the API as its handlers describe themselves.

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::get;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use utoipa::openapi::OpenApi as Description;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::refusal;
use crate::http::app::App;

/// What the handlers do not say: title, tags, keys.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Araldo",
        description = "The notification engine of a state. The sender API is IO's contract \
            (api.io.pagopa.it, basePath /api/v1), with Idempotency-Key and the state of every \
            delivery beyond it. Errors are application/problem+json with a stable type \
            urn:araldo:problem:<name>.",
        license(name = "EUPL-1.2", identifier = "EUPL-1.2"),
        contact()
    ),
    tags(
        (name = "sender", description = "Public bodies send messages to citizens"),
        (name = "citizen", description = "Citizens read, choose and decide: IO's contract, and more \
            under /api/citizen/v1. IO's older citizen paths under /api/v1 are not served, which \
            is the senders' side; nor are third-party messages, payment information, SEND \
            activation and Lollipop signatures"),
        (name = "links", description = "Pages that links in mails lead to"),
        (name = "operator", description = "Organisations, services, keys, citizens, status"),
        (name = "system", description = "Health and metrics"),
    ),
    modifiers(&Keys)
)]
struct Base;

struct Keys;

impl Modify for Keys {
    fn modify(&self, description: &mut Description) {
        let components = description.components.get_or_insert_default();
        let header = ApiKeyValue::new("Ocp-Apim-Subscription-Key");
        components
            .add_security_scheme("SubscriptionKey", SecurityScheme::ApiKey(ApiKey::Header(header)));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("OperatorKey", SecurityScheme::Http(bearer));
        let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        components.add_security_scheme("CitizenToken", SecurityScheme::Http(token));
    }
}

/// The description before the handlers add theirs.
pub fn base() -> Description {
    Base::openapi()
}

/// Adds what holds for handlers in general to what each says of itself.
pub fn complete(description: &mut Description) {
    refusal::describe(description);
}

/// The whole description, as `docs/api/openapi.json` keeps it.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn openapi_json() -> serde_json::Result<String> {
    let mut description = crate::http::routes().into_openapi();
    complete(&mut description);
    let mut json = serde_json::to_string_pretty(&description)?;
    json.push('\n');
    Ok(json)
}

/// Adds `/openapi.json`, rendered once.
pub fn serve_description(routes: Router<App>, description: &Description) -> Router<App> {
    let json = Bytes::from(serde_json::to_vec(description).unwrap_or_default());
    let answer = move || {
        let json = json.clone();
        async move {
            let kind = HeaderValue::from_static("application/json");
            ([(CONTENT_TYPE, kind)], json).into_response()
        }
    };
    routes.route("/openapi.json", get(answer))
}
