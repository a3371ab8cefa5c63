//! A small HTTP/1.1 client: one keep-alive connection, JSON in and out, for the operator API and the simulators' control.
//!
//! Owns one connection at a time and replaces it when it breaks. A request that failed on a reused connection before an
//! answer came is not repeated by itself: only the caller knows whether it may be. Bodies are bounded.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Largest answer kept in memory.
const MAX_ANSWER: usize = 64 * 1024 * 1024;
/// A request takes at most this long.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Why a request brought no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL is not `http://host:port…`.
    #[error("`{0}` is not an http:// URL with host and port")]
    Url(String),
    /// No connection, or it broke, or it took too long.
    #[error("{method} {path}: {reason}")]
    Connection {
        /// Method of the request.
        method: Method,
        /// Path of the request.
        path: String,
        /// What happened.
        reason: String,
    },
    /// An answer with another status than 2xx.
    #[error("{method} {path}: {status}: {body}")]
    Status {
        /// Method of the request.
        method: Method,
        /// Path of the request.
        path: String,
        /// Status of the answer.
        status: StatusCode,
        /// Start of its body.
        body: String,
    },
    /// An answer that is not the JSON expected.
    #[error("{path}: the answer is not the JSON expected: {reason}")]
    Json {
        /// Path of the request.
        path: String,
        /// Where it does not parse.
        reason: String,
    },
}

/// A connection in use and the task that drives it.
pub(crate) struct Link {
    pub(crate) send: SendRequest<Full<Bytes>>,
    driver: JoinHandle<()>,
}

impl Link {
    /// Connects to `host:port`.
    pub(crate) async fn open(authority: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let (send, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        let driver = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "connection ended");
            }
        });
        Ok(Self { send, driver })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Header of a sender's key.
pub(crate) static SUBSCRIPTION_KEY: HeaderName =
    HeaderName::from_static("ocp-apim-subscription-key");

/// A client of one server.
pub struct Client {
    authority: String,
    /// The header that says who asks.
    identity: Option<(HeaderName, HeaderValue)>,
    link: Option<Link>,
}

impl Client {
    /// A client of `http://host:port`, with a bearer key when the API wants one.
    ///
    /// # Errors
    /// [`ClientError::Url`]; the key holds characters no header takes.
    pub fn new(base: &str, bearer: Option<&str>) -> Result<Self, ClientError> {
        let bearer = bearer
            .map(|key| HeaderValue::from_str(&format!("Bearer {key}")))
            .transpose()
            .map_err(|_| ClientError::Url("a key with characters no header takes".to_owned()))?;
        let identity = bearer.map(|bearer| (AUTHORIZATION, bearer));
        Ok(Self { authority: authority(base)?.to_owned(), identity, link: None })
    }

    /// A client of the sender API of `http://host:port`.
    ///
    /// # Errors
    /// [`ClientError::Url`].
    pub fn sender(base: &str, key: HeaderValue) -> Result<Self, ClientError> {
        let identity = Some((SUBSCRIPTION_KEY.clone(), key));
        Ok(Self { authority: authority(base)?.to_owned(), identity, link: None })
    }

    /// GET, JSON back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn get(&mut self, path: &str) -> Result<Value, ClientError> {
        self.json(Method::GET, path, None).await
    }

    /// PUT of JSON, JSON back (null for an empty answer).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put(&mut self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.json(Method::PUT, path, Some(body)).await
    }

    /// POST of JSON, JSON back (null for an empty answer).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn post(&mut self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.json(Method::POST, path, Some(body)).await
    }

    /// DELETE.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn delete(&mut self, path: &str) -> Result<Value, ClientError> {
        self.json(Method::DELETE, path, None).await
    }

    /// A body of any type, bytes back.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        content_type: Option<&'static str>,
        body: Bytes,
    ) -> Result<Bytes, ClientError> {
        let fault = |reason: String| ClientError::Connection {
            method: method.clone(),
            path: path.to_owned(),
            reason,
        };
        let answer = tokio::time::timeout(TIMEOUT, async {
            let answer = self.exchange(&method, path, content_type, body).await.map_err(&fault)?;
            let status = answer.status();
            let bytes = Limited::new(answer.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| fault(error.to_string()))?
                .to_bytes();
            Ok((status, bytes))
        });
        let (status, bytes) = match answer.await {
            Ok(answer) => answer?,
            Err(_) => {
                self.link = None;
                return Err(fault(format!("no answer within {} s", TIMEOUT.as_secs())));
            }
        };
        if status.is_success() {
            return Ok(bytes);
        }
        let body = String::from_utf8_lossy(&bytes).chars().take(500).collect();
        Err(ClientError::Status { method, path: path.to_owned(), status, body })
    }

    /// GET of an answer read piece by piece, for bodies too large to hold.
    ///
    /// # Errors
    /// [`ClientError`]; or the first error of `each`.
    pub async fn stream(
        &mut self,
        path: &str,
        mut each: impl FnMut(&[u8]),
    ) -> Result<(), ClientError> {
        let fault = |reason: String| ClientError::Connection {
            method: Method::GET,
            path: path.to_owned(),
            reason,
        };
        let answer = self.exchange(&Method::GET, path, None, Bytes::new()).await.map_err(fault)?;
        let status = answer.status();
        let mut body = answer.into_body();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| fault(error.to_string()))?;
            if let (Some(data), true) = (frame.data_ref(), status.is_success()) {
                each(data);
            }
        }
        if status.is_success() {
            return Ok(());
        }
        Err(ClientError::Status {
            method: Method::GET,
            path: path.to_owned(),
            status,
            body: String::new(),
        })
    }

    async fn json(
        &mut self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ClientError> {
        let bytes = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let content_type = body.map(|_| "application/json");
        let answer = self.send(method, path, content_type, bytes).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer)
            .map_err(|error| ClientError::Json { path: path.to_owned(), reason: error.to_string() })
    }

    async fn exchange(
        &mut self,
        method: &Method,
        path: &str,
        content_type: Option<&'static str>,
        body: Bytes,
    ) -> Result<Response<Incoming>, String> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.authority);
        if let Some((name, value)) = &self.identity {
            request = request.header(name, value);
        }
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(body)).map_err(|error| error.to_string())?;
        let mut link = match self.link.take() {
            Some(mut link) => match link.send.ready().await {
                Ok(()) => link,
                Err(_) => self.open().await?,
            },
            None => self.open().await?,
        };
        let answer = link.send.send_request(request).await.map_err(|error| error.to_string())?;
        self.link = Some(link);
        Ok(answer)
    }

    async fn open(&self) -> Result<Link, String> {
        Link::open(&self.authority).await.map_err(|error| format!("{}: {error}", self.authority))
    }
}

/// `host:port` of an `http://` URL.
pub(crate) fn authority(base: &str) -> Result<&str, ClientError> {
    base.strip_prefix("http://")
        .map(|rest| rest.split('/').next().unwrap_or(rest))
        .filter(|authority| authority.contains(':'))
        .ok_or_else(|| ClientError::Url(base.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_urls_with_a_port_are_taken() {
        assert_eq!(authority("http://127.0.0.1:80/x").unwrap(), "127.0.0.1:80");
        for wrong in ["https://127.0.0.1:80", "127.0.0.1:80", "http://localhost"] {
            assert!(authority(wrong).is_err());
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_named() {
        let mut client = Client::new("http://127.0.0.1:1", Some("key")).unwrap();
        let error = client.get("/x").await.unwrap_err().to_string();
        assert!(error.contains("127.0.0.1:1"), "{error}");
    }
}
