//! The alert that the benches send, the service that sends it, and how its end is waited for. Owns nothing.

use std::time::Duration;

use araldo_loadtest::stage::{AlertState, SentAlert, Stage};
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::super::Failure;
use super::kit::bar;

/// An alert that has not ended in this time is reported as it stands.
const ALERT_LIMIT: Duration = Duration::from_secs(3_600);

/// An alert to everyone, of ordinary length.
pub(super) fn alert_body() -> Value {
    let text = "La Protezione Civile segnala piogge intense e vento forte dalle ore 18 di oggi alle ore 12 di domani. \
        Restate in casa se potete, non scendete in cantine e garage, non attraversate sottopassi e ponti. \
        Numero unico di emergenza: 112.";
    json!({"texts": {"it_IT": {"subject": "Allerta meteo arancione per piogge", "markdown": text}}, "audience": {"everyone": true}})
}

/// A service that may send alerts; gives its key.
pub(super) async fn alert_service(stage: &Stage) -> Result<HeaderValue, Failure> {
    let fields = json!({"groups": ["ApiAlertWrite", "ApiMessageWrite"]});
    Ok(stage.create_service_with("bench-alert", "Protezione Civile di prova", &fields).await?)
}

/// Sends the alert and waits for its end.
pub(super) async fn play(
    stage: &Stage,
    key: &HeaderValue,
    citizens: u64,
    name: &str,
) -> Result<(SentAlert, AlertState), Failure> {
    let shown = bar(name, "deliveries of the alert", citizens);
    let sent = stage.send_alert(key, &alert_body()).await?;
    let show = |state: &AlertState| shown.set_position(state.delivered_by_routes());
    let state = stage.wait_alert(key, sent, ALERT_LIMIT, show).await?;
    shown.finish_and_clear();
    Ok((sent, state))
}
