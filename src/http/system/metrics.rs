//! `/metrics`, as Prometheus reads it.
//!
//! What is read at a scrape: the books from the store, the board of the
//! actors, and memory, CPU and files of the process from the kernel.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use futures_util::future::try_join;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::http::app::App;
use crate::telemetry::metric;

/// The metrics of the process. Totals and gauges of the books are read from
/// the store at each scrape; when it does not answer, the rest is shown all
/// the same. Totals are those of the whole store, the same on every node (so
/// that no counter falls when a partition moves); what is pending and what is
/// unaccounted for is this node's part.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "system",
    operation_id = "getMetrics",
    responses((status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain"))
)]
pub async fn render(State(app): State<App>) -> Response {
    let engine = app.engine();
    if let Ok((all, own)) = app.read(try_join(engine.books(), engine.own_books())).await {
        metric::refresh(&all, &own, engine.board(), app.uptime_seconds());
    }
    // Counting open files is a walk over a folder with one entry for each live
    // session. Fails only when the process ends.
    let _ = tokio::task::spawn_blocking(metric::refresh_process).await;
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, text)], app.metrics().render()).into_response()
}
