//! Who calls: keys and roles.
//!
//! A lookup is one BLAKE3 hash and one map access, without a slow hash: keys
//! are 32 random bytes, so they cannot be guessed from what is stored.

use std::sync::Arc;

use araldo_actors::domain::service::{ApiKey, Role, Service};
use axum::extract::FromRequestParts;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use subtle::ConstantTimeEq;

use super::app::App;
use super::key;
use super::origin::{self, Peer};
use super::problem::Problem;

/// The header IO's senders put their key in.
const SUBSCRIPTION_KEY: &str = "ocp-apim-subscription-key";

/// How a sender presents its key, in the words of the gateway IO's senders
/// know.
const SENDER: &str =
    "AzureApiManagementKey realm=\"araldo\", name=\"Ocp-Apim-Subscription-Key\", type=\"header\"";
/// How an operator presents its key (RFC 6750).
const OPERATOR: &str = "Bearer realm=\"araldo\"";

/// A sender: the service its key speaks for.
pub struct Sender(pub Arc<Service>);

impl FromRequestParts<App> for Sender {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let secret = parts.headers.get(SUBSCRIPTION_KEY).ok_or_else(|| {
            Problem::unauthorized(SENDER, "the header Ocp-Apim-Subscription-Key is missing")
        })?;
        let key = find(app, secret.as_bytes(), SENDER)?;
        let (Role::Sender, Some(id)) = (key.role, &key.service) else {
            return Err(Problem::forbidden("this is an operator's key; senders need their own"));
        };
        let service = app.engine().directory().service(id);
        let service = service.filter(|service| service.enabled).ok_or_else(|| {
            Problem::forbidden("the service of this key is switched off or does not exist")
        })?;
        let peer = parts.extensions.get::<Peer>().copied();
        let origin = origin::of(peer, &parts.headers, &app.options().trusted_proxies);
        if !origin::is_authorized(origin, &service.authorized_cidrs) {
            return Err(Problem::forbidden("the service may not be used from this network"));
        }
        Ok(Self(service))
    }
}

/// An operator who may read.
pub struct Viewer;

/// An operator who may change things.
pub struct Admin;

/// An operator who may see alerts.
pub struct AlertViewer;

/// An operator who may pause, resume and cancel alerts.
pub struct AlertOperator;

impl FromRequestParts<App> for AlertViewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match operator(parts, app)?.role {
            Role::Viewer | Role::Approver | Role::Admin => Ok(Self),
            role @ Role::Sender => Err(refused(role)),
        }
    }
}

impl FromRequestParts<App> for AlertOperator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match operator(parts, app)?.role {
            Role::Approver | Role::Admin => Ok(Self),
            role => Err(refused(role)),
        }
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match operator(parts, app)?.role {
            Role::Viewer | Role::Admin => Ok(Self),
            role => Err(refused(role)),
        }
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        match operator(parts, app)?.role {
            Role::Admin => Ok(Self),
            role => Err(refused(role)),
        }
    }
}

fn refused(role: Role) -> Problem {
    Problem::forbidden(match role {
        Role::Sender => "this is a sender's key; the operator API needs an operator's",
        Role::Viewer => "a viewer's key may only read",
        Role::Approver => "an approver's key may only see, pause, resume and cancel alerts",
        Role::Admin => "this key may not do that",
    })
}

fn operator(parts: &Parts, app: &App) -> Result<Arc<ApiKey>, Problem> {
    let value = parts.headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    let secret = value
        .and_then(|value| {
            let (scheme, secret) = value.split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then(|| secret.trim_ascii())
        })
        .ok_or_else(|| {
            Problem::unauthorized(OPERATOR, "the header Authorization: Bearer <key> is missing")
        })?;
    find(app, secret, OPERATOR)
}

fn find(app: &App, secret: &[u8], challenge: &'static str) -> Result<Arc<ApiKey>, Problem> {
    let hash = key::hash(secret);
    app.engine()
        .directory()
        .key(&hash)
        .filter(|key| bool::from(key.hash.ct_eq(&hash)))
        .ok_or_else(|| Problem::unauthorized(challenge, "nobody has this key"))
}
