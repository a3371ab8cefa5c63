//! The HTTP API: thin, typed, refusing early.
//!
//! Owns: parsing and validation of requests, keys and roles, limits, the form
//! of answers and errors. Decides nothing about messages: it holds an
//! [`Engine`] and calls it.
//!
//! Invariants: a request refused with 4xx left nothing behind; a message
//! answered 201 is durable, because [`Engine::submit`] returned; what ran out
//! of time after it reached the engine is 503 `unconfirmed`. Bodies,
//! connections, time and imports are bounded by `[http]`. No answer and no log
//! line carries a fiscal code, token, address or text that the caller did not
//! ask for by name.
//!
//! On a crash: nothing here is state; a client that got no answer repeats its
//! request under the same `Idempotency-Key`.

mod access;
mod alert;
mod app;
mod body;
pub mod citizen;
pub mod development;
pub mod key;
mod layer;
mod operator;
mod origin;
mod page;
mod problem;
mod sender;
mod serve;
mod system;
mod validate;

use araldo_actors::engine::Engine;
use araldo_actors::pipeline::NodeOptions;
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub use serve::serve;
pub use system::openapi::openapi_json;

use crate::config::HttpConfig;
use app::App;
use citizen::Citizens;

/// What the API is made of.
#[derive(Clone)]
pub struct Http {
    /// The engine it speaks for.
    pub engine: Engine,
    /// This process as others name it.
    pub node: NodeOptions,
    /// What `/metrics` shows.
    pub metrics: PrometheusHandle,
    /// Limits.
    pub options: HttpConfig,
    /// The citizens' side.
    pub citizens: Citizens,
}

/// The API as a service, without a socket.
pub fn router(http: Http) -> Router {
    router_of(App::new(http))
}

/// The API over a state that somebody else holds, too.
fn router_of(app: App) -> Router {
    let (routes, mut description) = routes().split_for_parts();
    system::openapi::complete(&mut description);
    let routes = page::serve(system::openapi::serve_description(routes, &description));
    layer::around(routes, &app).with_state(app)
}

/// Every route with its description.
fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(system::openapi::base())
        .routes(routes!(sender::message::submit_with_body_code))
        .routes(routes!(sender::message::submit))
        .routes(routes!(sender::message::read))
        .routes(routes!(sender::alert::submit, sender::alert::list))
        .routes(routes!(sender::alert::read))
        .routes(routes!(sender::alert::pause))
        .routes(routes!(sender::alert::resume))
        .routes(routes!(sender::alert::cancel))
        .routes(routes!(sender::profile::read_by_post))
        .routes(routes!(sender::profile::read))
        .routes(routes!(operator::organization::list))
        .routes(routes!(operator::organization::put))
        .routes(routes!(operator::service::list))
        .routes(routes!(operator::service::put, operator::service::read))
        .routes(routes!(operator::key::list, operator::key::create))
        .routes(routes!(operator::key::revoke))
        .routes(routes!(operator::citizen::import))
        .routes(routes!(operator::alert::list))
        .routes(routes!(operator::alert::read))
        .routes(routes!(operator::alert::pause))
        .routes(routes!(operator::alert::resume))
        .routes(routes!(operator::alert::cancel))
        .routes(routes!(operator::status::read))
        .routes(routes!(operator::cluster::read))
        .routes(routes!(system::health::alive))
        .routes(routes!(system::health::ready))
        .routes(routes!(system::metrics::render))
        .merge(citizen::routes())
}
