//! TCP connections to providers.
//!
//! Owns nothing: resolves the name now, without a cache of ours, and sets
//! `TCP_NODELAY`, since every protocol here writes whole requests at once.

use tokio::net::TcpStream;

/// Connects to the first address of `host` that answers; the caller sets the
/// deadline.
///
/// # Errors
/// What failed last, as a sentence for the operator.
pub(super) async fn connect(host: &str, port: u16) -> Result<TcpStream, String> {
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| format!("name not resolved: {error}"))?;
    let mut last = "the name has no address".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => match stream.set_nodelay(true) {
                Ok(()) => return Ok(stream),
                Err(error) => last = format!("TCP_NODELAY refused: {error}"),
            },
            Err(error) => last = format!("TCP: {error}"),
        }
    }
    Err(last)
}
