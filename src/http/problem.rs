//! Errors as `application/problem+json` (RFC 9457).
//!
//! The `type` is a stable URN. Nothing of what the client sent is repeated,
//! but for names of fields: values may be somebody's.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use araldo_actors::engine::SubmitError;
use araldo_actors::port::store::StoreError;

/// What a client is told to wait when the store does not answer.
const RETRY_STORE: Duration = Duration::from_secs(5);

/// IO's type of [`Kind::EmailTaken`] (`UpdateProfile412ErrorTypes`).
const EMAIL_TAKEN: &str = "https://ioapp.it/problems/email-already-taken";

/// The kinds of problem there are: name, title, status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request does not have the form asked for.
    Invalid,
    /// No key, or one nobody knows.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// There is, but not with this method.
    MethodNotAllowed,
    /// The client took too long to send its body.
    RequestTimeout,
    /// The body is too long.
    TooLarge,
    /// The `Idempotency-Key` was used with another body.
    KeyReused,
    /// Too much is waiting; nothing was stored.
    Overloaded,
    /// This caller calls too often; nothing was done.
    TooManyRequests,
    /// What is asked for does not fit what is there.
    Conflict,
    /// Another citizen confirmed the address.
    EmailTaken,
    /// The status of the alert does not allow it.
    AlertStatus,
    /// A configured limit of the registry is reached.
    LimitReached,
    /// A defect of ours.
    Internal,
    /// Nothing was stored; try again later.
    Unavailable,
    /// The fate of the write is unknown.
    Unconfirmed,
}

impl Kind {
    const fn parts(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Self::Invalid => ("invalid-request", "Invalid request", StatusCode::BAD_REQUEST),
            Self::Unauthorized => ("unauthorized", "Unauthorized", StatusCode::UNAUTHORIZED),
            Self::Forbidden => ("forbidden", "Forbidden", StatusCode::FORBIDDEN),
            Self::NotFound => ("not-found", "Not found", StatusCode::NOT_FOUND),
            Self::MethodNotAllowed => {
                ("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED)
            }
            Self::RequestTimeout => {
                ("request-timeout", "The request took too long", StatusCode::REQUEST_TIMEOUT)
            }
            Self::TooLarge => {
                ("body-too-large", "The body is too long", StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::KeyReused => (
                "idempotency-key-reused",
                "Idempotency-Key used with another body",
                StatusCode::UNPROCESSABLE_ENTITY,
            ),
            Self::Overloaded => ("overloaded", "Too many requests", StatusCode::TOO_MANY_REQUESTS),
            Self::TooManyRequests => {
                ("too-many-requests", "Too many requests", StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Conflict => ("conflict", "Conflict", StatusCode::CONFLICT),
            Self::EmailTaken => (
                "email-already-taken",
                "The e-mail address is taken",
                StatusCode::PRECONDITION_FAILED,
            ),
            Self::AlertStatus => {
                ("alert-status", "The alert's status does not allow it", StatusCode::CONFLICT)
            }
            Self::LimitReached => ("limit-reached", "Limit reached", StatusCode::CONFLICT),
            Self::Internal => ("internal", "Internal error", StatusCode::INTERNAL_SERVER_ERROR),
            Self::Unavailable => {
                ("unavailable", "Not available now", StatusCode::SERVICE_UNAVAILABLE)
            }
            Self::Unconfirmed => ("unconfirmed", "Not confirmed", StatusCode::SERVICE_UNAVAILABLE),
        }
    }
}

/// A field that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, dotted: `content.subject`.
    #[schema(value_type = String, example = "content.subject")]
    pub field: Cow<'static, str>,
    /// Why.
    #[schema(value_type = String, example = "must have 10 to 120 characters")]
    pub reason: Cow<'static, str>,
}

/// An error as it is answered.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    retry_after: Option<Duration>,
    challenge: Option<&'static str>,
}

/// The body of an error, RFC 9457.
#[derive(Serialize, ToSchema)]
#[schema(as = ProblemJson)]
pub struct ProblemBody {
    /// A stable URN, `urn:araldo:problem:<name>`.
    #[serde(rename = "type")]
    #[schema(example = "urn:araldo:problem:invalid-request")]
    r#type: String,
    /// The problem in general.
    title: &'static str,
    /// The status of the answer.
    #[schema(minimum = 100, maximum = 599)]
    status: u16,
    /// This occurrence of the problem.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// The fields that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl Problem {
    /// A problem of `kind`.
    pub fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after: None, challenge: None }
    }

    /// 400.
    pub fn invalid(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, detail)
    }

    /// 400 with the fields that were refused.
    pub fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [error] => Cow::Owned(format!("{} {}", error.field, error.reason)),
            _ => Cow::Borrowed("some fields are not as the contract asks; see errors"),
        };
        Self { errors, ..Self::new(Kind::Invalid, detail) }
    }

    /// 400 because of one field.
    pub fn field(
        field: impl Into<Cow<'static, str>>,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::fields(vec![FieldError { field: field.into(), reason: reason.into() }])
    }

    /// 401; `challenge` says how a key is presented (RFC 9110, section 11.6.1).
    pub fn unauthorized(challenge: &'static str, detail: &'static str) -> Self {
        Self { challenge: Some(challenge), ..Self::new(Kind::Unauthorized, detail) }
    }

    /// 403.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Forbidden, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, detail)
    }

    /// 412, as IO says it.
    pub fn email_taken() -> Self {
        Self::new(Kind::EmailTaken, "another citizen confirmed this e-mail address")
    }

    /// 503: nothing was stored.
    pub fn unavailable() -> Self {
        let detail = "nothing was stored; try again later";
        Self { retry_after: Some(RETRY_STORE), ..Self::new(Kind::Unavailable, detail) }
    }

    /// 503: the engine had the request and did not answer in time.
    pub fn unconfirmed() -> Self {
        let detail = "the outcome is not known; repeat the request, with the same \
                      Idempotency-Key if it had one";
        Self { retry_after: Some(RETRY_STORE), ..Self::new(Kind::Unconfirmed, detail) }
    }

    /// Adds `Retry-After`.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// Says the occurrence in other words.
    pub fn with_detail(mut self, detail: String) -> Self {
        self.detail = Cow::Owned(detail);
        self
    }

    /// What happened, in words.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What the store's failure is to the client; the operator reads more in
    /// the log.
    pub fn of_store(error: &StoreError) -> Self {
        match error {
            StoreError::Unconfirmed(_) => Self::unconfirmed(),
            StoreError::Unavailable(_) | StoreError::Fenced(_) | StoreError::Leased(_) => {
                Self::unavailable()
            }
            StoreError::Damaged(_) => Self::new(Kind::Internal, "what is stored cannot be read"),
        }
    }

    /// What a refused submission is to the client.
    pub fn of_submit(error: &SubmitError) -> Self {
        match error {
            SubmitError::Overloaded { retry_after } => {
                Self::new(Kind::Overloaded, "too many messages are waiting; nothing was stored")
                    .retry_after(*retry_after)
            }
            SubmitError::KeyReused => Self::new(
                Kind::KeyReused,
                "this Idempotency-Key came before with another body; nothing was stored",
            ),
            SubmitError::Store(error) => Self::of_store(error),
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.kind.parts().2
    }

    /// The value of `Retry-After`, if it has one.
    pub fn wait(&self) -> Option<HeaderValue> {
        // HTTP counts whole seconds; never tell a client to wait for 0.
        let seconds = self.retry_after?.as_millis().div_ceil(1000).max(1);
        Some(HeaderValue::from(u64::try_from(seconds).unwrap_or(60)))
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(wait) = self.wait() {
            headers.insert(RETRY_AFTER, wait);
        }
        if let Some(challenge) = self.challenge {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        headers
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (name, title, status) = self.kind.parts();
        let headers = self.headers();
        let body = ProblemBody {
            r#type: match self.kind {
                // IO's clients look for this one.
                Kind::EmailTaken => EMAIL_TAKEN.to_owned(),
                _ => format!("urn:araldo:problem:{name}"),
            },
            title,
            status: status.as_u16(),
            detail: self.detail,
            errors: self.errors,
        };
        (status, headers, serde_json::to_vec(&body).unwrap_or_default()).into_response()
    }
}

impl From<PathRejection> for Problem {
    fn from(_: PathRejection) -> Self {
        Self::invalid("the path is not readable")
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        super::body::argument_fault(&rejection).map_or_else(
            || Self::invalid("the query is not readable"),
            |(argument, reason)| Self::field(argument, reason),
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use araldo_actors::domain::id::PartitionId;
    use araldo_actors::engine::SubmitError;
    use araldo_actors::port::store::StoreError;
    use axum::response::IntoResponse;
    use hyper::header::RETRY_AFTER;

    use super::Problem;

    /// Status and seconds to wait.
    fn answer(error: &SubmitError) -> (u16, Option<String>) {
        let response = Problem::of_submit(error).into_response();
        let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        (response.status().as_u16(), wait.map(str::to_owned))
    }

    #[test]
    fn what_may_be_repeated_says_when() {
        let wait = |seconds: &str| Some(seconds.to_owned());
        let overloaded =
            |millis| SubmitError::Overloaded { retry_after: Duration::from_millis(millis) };
        assert_eq!(answer(&overloaded(10_000)), (429, wait("10")));
        assert_eq!(answer(&overloaded(1_001)), (429, wait("2")));
        assert_eq!(answer(&overloaded(0)), (429, wait("1")));
        let text = || "disk".to_owned();
        let unavailable = StoreError::Unavailable(text()).into();
        assert_eq!(answer(&unavailable), (503, wait("5")));
        assert_eq!(answer(&StoreError::Fenced(PartitionId(1)).into()), (503, wait("5")));
        assert_eq!(answer(&StoreError::Unconfirmed(text()).into()), (503, wait("5")));
        assert_eq!(answer(&StoreError::Damaged(text()).into()), (500, None));
        assert_eq!(answer(&SubmitError::KeyReused), (422, None));
    }

    #[test]
    fn what_the_store_says_stays_inside() {
        let error = StoreError::Damaged("/secret/place".to_owned());
        assert!(!format!("{:?}", Problem::of_store(&error)).contains("secret"));
    }
}
