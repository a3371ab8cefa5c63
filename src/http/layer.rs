//! What every request passes through: request id, metrics, panics caught,
//! unknown paths and methods answered.
//!
//! No tracing span is opened: at thousands of requests a second it would cost
//! more than the request.

use std::any::Any;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use hyper::Method;
use hyper::header::HeaderValue;
use tokio::time::Instant;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{
    MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};

use super::app::App;
use super::key::hex;
use super::problem::{Kind, Problem};
use crate::telemetry::metric;

/// Puts the layers around `routes`.
pub fn around(routes: Router<App>, app: &App) -> Router<App> {
    routes
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(measure))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(RequestIds(app.clone())))
}

async fn unknown_path() -> Problem {
    Problem::not_found("there is nothing at this path; see /openapi.json")
}

async fn wrong_method() -> Problem {
    Problem::new(Kind::MethodNotAllowed, "this path does not take this method; see Allow")
}

/// A panic ends its request only. Its text may quote data, so it is not
/// logged here; the panic hook has the place.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    metric::http_panics().increment(1);
    Problem::new(Kind::Internal, "the server made a mistake; the request may be repeated")
        .into_response()
}

async fn measure(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("other", |path| metric::route_label(path.as_str()));
    let method = method_label(request.method());
    let response = next.run(request).await;
    metric::http_request(route, method, response.status(), started.elapsed());
    response
}

/// Methods are free text on the wire; a label must not be.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

/// Names requests that do not bring a name of their own.
#[derive(Clone)]
struct RequestIds(App);

impl MakeRequestId for RequestIds {
    fn make_request_id<B>(&mut self, _: &hyper::Request<B>) -> Option<RequestId> {
        let id = hex(&self.0.engine().random_bits().to_be_bytes());
        HeaderValue::try_from(id).ok().map(RequestId::new)
    }
}
