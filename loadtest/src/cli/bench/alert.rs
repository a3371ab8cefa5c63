//! The alert that the benches send, and the service that sends it. Owns nothing.

use araldo_loadtest::stage::Stage;
use hyper::header::HeaderValue;
use serde_json::{Value, json};

use super::super::Failure;

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
