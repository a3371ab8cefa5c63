//! One small document over HTTP/1.1, `http://` or `https://`: no redirects,
//! bounded in length and time, on a connection of its own that ends with it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::header::{ACCEPT, CONNECTION, HOST};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Longest answer, bytes.
const MOST: usize = 512 * 1024;
/// For the whole exchange.
const LIMIT: Duration = Duration::from_secs(10);

/// The body at `url`.
///
/// # Errors
/// Why not, in words.
pub(super) async fn get(url: &str) -> Result<Bytes, String> {
    tokio::time::timeout(LIMIT, ask(url))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {LIMIT:?}")))
}

async fn ask(url: &str) -> Result<Bytes, String> {
    let uri: Uri = url.parse().map_err(|_| "is not an address".to_owned())?;
    let host = uri.host().ok_or("the address has no host")?;
    let is_tls = uri.scheme_str() == Some("https");
    let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port))
        .await
        .map_err(|error| format!("cannot connect: {error}"))?;
    let request = Request::get(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(HOST, uri.authority().map_or(host, |authority| authority.as_str()))
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .header(CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|_| "the address does not fit into a request".to_owned())?;
    if !is_tls {
        return exchange(stream, request).await;
    }
    let name = ServerName::try_from(name.to_owned())
        .map_err(|_| "the address has no valid host".to_owned())?;
    let tls = TlsConnector::from(Arc::new(tls()?)).connect(name, stream).await;
    exchange(tls.map_err(|error| format!("TLS: {error}"))?, request).await
}

/// TLS 1.2 or newer; the platform decides whom to trust.
fn tls() -> Result<ClientConfig, String> {
    let unusable = |error: rustls::Error| format!("TLS: {error}");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(unusable)?
        .with_platform_verifier()
        .map_err(unusable)?
        .with_no_client_auth())
}

async fn exchange<T>(io: T, request: Request<Empty<Bytes>>) -> Result<Bytes, String>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let lost = |error: hyper::Error| format!("HTTP: {error}");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(io)).await.map_err(lost)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(lost)?;
        if answer.status() != StatusCode::OK {
            return Err(format!("status {}", answer.status().as_u16()));
        }
        let body = Limited::new(answer.into_body(), MOST).collect().await;
        body.map(|body| body.to_bytes()).map_err(|_| "the answer is broken or too long".to_owned())
    };
    let (mut answer, mut connection) = (std::pin::pin!(answer), std::pin::pin!(connection));
    tokio::select! {
        answer = &mut answer => answer,
        // The connection may end first; what it read is still in the answer.
        _ = &mut connection => answer.await,
    }
}
