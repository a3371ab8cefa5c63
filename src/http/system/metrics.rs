//! `/metrics`, as Prometheus reads it.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::http::app::App;
use crate::telemetry::metric;

/// The metrics of the process. Totals and gauges of the books are read from
/// the store at each scrape; when it does not answer, the rest is shown all
/// the same.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "system",
    operation_id = "getMetrics",
    responses((status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain"))
)]
pub async fn render(State(app): State<App>) -> Response {
    if let Ok(books) = app.read(app.engine().books()).await {
        metric::refresh(&books, app.engine().board(), app.uptime_seconds());
    }
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, text)], app.metrics().render()).into_response()
}
