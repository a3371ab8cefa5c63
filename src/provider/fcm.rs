//! Firebase Cloud Messaging, HTTP v1.
//!
//! Owns a route's connections to FCM: the request of one push, the project's
//! OAuth access token shared by all of them, and what follows from an answer
//! for that token (Google: "Send a message using FCM HTTP v1 API", "FCM error
//! codes").
//!
//! Invariants: one token and one refresh at a time per project; an access
//! token that Google refuses is replaced once, and if its successor was never
//! accepted either, the route halts; nothing from a citizen's data can change
//! the request's path or headers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use araldo_actors::domain::outcome::Failure;
use araldo_actors::port::provider::{Answer, ConnectError, Connector, Link, Notification};
use async_trait::async_trait;
use bytes::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Request, Uri, Version};
use tokio::time::{Instant, timeout_at};

use super::OptionsError;
use super::http2::{Channel, Reply, Transport, TransportOptions};
use account::ServiceAccount;
use oauth::{AccessToken, AccessTokens, OauthError};

pub use answer::{ErrorBody, answer};

mod account;
mod answer;
mod oauth;
mod payload;

/// What an FCM route needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FcmOptions {
    /// How FCM is reached; its CA file holds for the token endpoint too.
    pub transport: TransportOptions,
    /// The Firebase project; must be the service account's.
    pub project_id: String,
    /// The service account, as Google's console downloads it.
    pub service_account_file: PathBuf,
}

/// What all links of a route share.
struct Route {
    transport: Transport,
    tokens: AccessTokens,
    uri: Uri,
}

/// Opens connections of one FCM route.
pub struct FcmConnector {
    route: Arc<Route>,
}

impl FcmConnector {
    /// Checks the options and reads the service account.
    ///
    /// # Errors
    /// [`OptionsError`] naming the option or file that cannot be used.
    pub fn new(options: FcmOptions) -> Result<Self, OptionsError> {
        let project = &options.project_id;
        let fits = project
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.'));
        if project.is_empty() || !fits {
            return Err(OptionsError::new("project_id", "must be a Firebase project id"));
        }
        let transport = Transport::new(options.transport)?;
        let account = ServiceAccount::from_file(&options.service_account_file)?;
        if account.project_id != *project {
            return Err(OptionsError::file(
                &options.service_account_file,
                format!("is of project {}, the route of {project}", account.project_id),
            ));
        }
        let wrong = |_| OptionsError::new("project_id", "does not fit into a URL");
        let path = format!("/v1/projects/{project}/messages:send")
            .parse()
            .map_err(|_| OptionsError::new("project_id", "does not fit into a URL"))?;
        let uri = transport.endpoint().uri(path).map_err(wrong)?;
        Ok(Self { route: Arc::new(Route { transport, tokens: AccessTokens::new(account), uri }) })
    }
}

#[async_trait]
impl Connector for FcmConnector {
    async fn connect(&self) -> Result<Arc<dyn Link>, ConnectError> {
        let route = Arc::clone(&self.route);
        route.tokens.token(&route.transport, Instant::now()).await.map_err(
            |error| match error {
                OauthError::Refused(_) => ConnectError::Refused(error.to_string()),
                OauthError::Unreachable(_) => ConnectError::Unreachable(error.to_string()),
            },
        )?;
        let channel = route.transport.connect(false).await?;
        Ok(Arc::new(FcmLink { route, channel }))
    }
}

/// One connection to FCM.
struct FcmLink {
    route: Arc<Route>,
    channel: Channel,
}

#[async_trait]
impl Link for FcmLink {
    fn capacity(&self) -> usize {
        self.channel.capacity()
    }

    fn is_closed(&self) -> bool {
        self.channel.is_closed()
    }

    async fn send(&self, notification: &Notification) -> Answer {
        let Notification::Push(push) = notification else { return super::NOT_A_PUSH };
        let deadline = self.channel.deadline();
        let Some(body) = payload::payload(push, super::unix_seconds()) else {
            return Answer::Fail {
                failure: Failure::RefusedEndpoint,
                reason: "token is not an FCM token",
            };
        };
        let route = &self.route;
        let now = Instant::now();
        let token = match timeout_at(deadline, route.tokens.token(&route.transport, now)).await {
            Ok(Ok(token)) => token,
            Ok(Err(error)) => return without_token(&error),
            Err(_) => return NO_TOKEN,
        };
        match self.channel.call(route.request(&token), Bytes::from(body), deadline).await {
            Ok(reply) => match timeout_at(deadline, self.understand(&reply, &token)).await {
                Ok(answer) => answer,
                Err(_) => NO_TOKEN,
            },
            Err(error) => error.into(),
        }
    }
}

/// The token endpoint is in trouble: nothing was sent, or what was sent was refused.
const NO_TOKEN: Answer = Answer::RetryRoute { after: None, reason: "no access token to be had" };

/// Nothing was sent, for want of an access token.
fn without_token(error: &OauthError) -> Answer {
    match error {
        OauthError::Refused(_) => Answer::Halt { reason: "the token endpoint refuses our key" },
        OauthError::Unreachable(_) => NO_TOKEN,
    }
}

impl FcmLink {
    /// What the answer means, a refused access token replaced.
    async fn understand(&self, reply: &Reply, token: &AccessToken) -> Answer {
        let status = reply.status.as_u16();
        if status == 200 {
            token.prove();
            return Answer::Accepted;
        }
        let body = ErrorBody::read(&reply.body);
        let answer = answer(status, &body, reply.retry_after);
        let Answer::Halt { reason: reason @ ("UNAUTHENTICATED" | "PERMISSION_DENIED") } = answer
        else {
            return answer;
        };
        let route = &self.route;
        match route.tokens.refused(token, &route.transport, Instant::now()).await {
            Ok(true) => Answer::RetryElsewhere { reason },
            Ok(false) => Answer::Halt { reason },
            Err(error) => without_token(&error),
        }
    }
}

impl Route {
    fn request(&self, token: &AccessToken) -> Request<()> {
        let mut headers = HeaderMap::with_capacity(2);
        headers.insert(AUTHORIZATION, token.header().clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = headers;
        request
    }
}

/// Google asks for at least this much before a repetition.
const SHORTEST_RETRY: Duration = Duration::from_secs(10);
/// The wait of a project over its quota when FCM says none.
const QUOTA_RETRY: Duration = Duration::from_secs(60);
