//! The citizens' side of the API: IO's contract at IO's own paths, and what
//! Araldo has beyond it under `/api/citizen/v1`.
//!
//! A citizen calls with a token of the configured issuer (`[citizen]`) and
//! reaches nothing but what is their own; each answer says `no-store`. How
//! often one citizen may call is limited ([`rate`]).
//!
//! IO's older citizen paths below `/api/v1` are not served: that is the
//! senders' side here, as it is at IO's gateway, and two of its paths would
//! mean different things to the two.

use std::sync::Arc;
use std::time::Duration;

use araldo_actors::domain::citizen::Language;
use axum::http::HeaderValue;
use axum::http::header::CACHE_CONTROL;
use axum::middleware;
use axum::response::Response;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use crate::config::LiveConfig;
use crate::link::Links;
use crate::post::PostError;
use issuer::Issuer;

pub(super) mod catalogue;
pub mod issuer;
pub(super) mod rate;

mod data_request;
mod email;
mod export;
mod fold;
mod installation;
mod link;
mod live;
mod message;
mod preference;
pub(super) mod profile;
mod search;
mod session;

/// Takes a mail that confirms an address (address, language, link) into a
/// bounded queue, or says why not.
pub type ValidationMails =
    Arc<dyn Fn(&str, Language, String) -> Result<(), PostError> + Send + Sync>;

/// What the citizens' side is made of.
#[derive(Clone)]
pub struct Citizens {
    /// Checks tokens.
    pub issuer: Issuer,
    /// Opens links in mails, and makes those that confirm addresses.
    pub links: Arc<Links>,
    /// Sends these.
    pub mails: ValidationMails,
    /// Limits of live sessions.
    pub live: LiveConfig,
    /// How long a link that confirms an address can be used.
    pub link_validity: Duration,
    /// Between a request to be deleted and its execution.
    pub deletion_grace: Duration,
}

/// Every route with its description.
pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new()
        .routes(routes!(message::list))
        .routes(routes!(message::read))
        .routes(routes!(message::mark))
        .routes(routes!(message::mark_by_older_name))
        .routes(routes!(installation::put))
        .routes(routes!(profile::read, profile::update))
        .routes(routes!(preference::read, preference::update))
        .routes(routes!(email::start))
        .routes(routes!(data_request::ask))
        .routes(routes!(data_request::read, data_request::abort))
        .routes(routes!(catalogue::institutions))
        .routes(routes!(catalogue::featured_institutions))
        .routes(routes!(catalogue::services))
        .routes(routes!(catalogue::featured_services))
        .routes(routes!(catalogue::service))
        .routes(routes!(live::open))
        .routes(routes!(search::search))
        .routes(routes!(preference::matrix))
        .routes(routes!(installation::list))
        .routes(routes!(installation::remove))
        .routes(routes!(installation::revoke))
        .routes(routes!(export::read))
        .routes(routes!(link::ask_unsubscribe, link::unsubscribe))
        .routes(routes!(link::ask_validate, link::validate))
        .layer(middleware::map_response(keep_nothing))
}

/// What is a citizen's is kept by nobody on the way.
async fn keep_nothing(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
