//! What an HTTP status means when the provider's reason is unknown.
//!
//! Owns nothing. Conservative on both sides: an unknown reason never drops a
//! token; a status about credentials or paths stops the route, because it
//! would hit every delivery; another 4xx ends only this delivery, because a
//! request must not be repeated unmodified after it (RFC 9110, 15.5); a 5xx is
//! the provider's trouble and is repeated.

use std::time::Duration;

use araldo_actors::domain::outcome::Failure;
use araldo_actors::port::provider::Answer;

/// The answer for `status` alone.
pub(super) fn by_status(status: u16, retry_after: Option<Duration>) -> Answer {
    match status {
        200 => Answer::Accepted,
        // Another success than the documented one: taken over or not, nobody knows.
        201..=299 => Answer::Unknown { reason: "unexpected_2xx" },
        300..=399 => Answer::Halt { reason: "unexpected_redirect" },
        401 | 407 => Answer::Halt { reason: "unknown_401" },
        403 => Answer::Halt { reason: "unknown_403" },
        404 | 405 => Answer::Halt { reason: "unknown_404" },
        408 => Answer::RetryDelivery { after: retry_after, reason: "request_timeout" },
        410 => Answer::Fail { failure: Failure::EndpointGone, reason: "unknown_410" },
        421 => Answer::RetryElsewhere { reason: "misdirected_request" },
        425 => Answer::RetryDelivery { after: retry_after, reason: "too_early" },
        429 => Answer::RetryRoute { after: retry_after, reason: "unknown_429" },
        400..=499 => Answer::Fail { failure: Failure::RefusedContent, reason: "unknown_4xx" },
        500..=599 => Answer::ProviderFailed { after: retry_after, reason: "unknown_5xx" },
        _ => Answer::Unknown { reason: "unknown_status" },
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, by_status};

    #[test]
    fn no_status_alone_drops_a_token() {
        for status in 100..700 {
            assert!(!matches!(by_status(status, None), Answer::DropToken { .. }), "{status}");
        }
    }

    #[test]
    fn every_5xx_is_repeated_and_only_200_is_accepted() {
        for status in 100..700 {
            let answer = by_status(status, None);
            assert_eq!(answer == Answer::Accepted, status == 200);
            let repeated =
                matches!(answer, Answer::RetryDelivery { .. } | Answer::ProviderFailed { .. });
            assert!(repeated || !(500..600).contains(&status), "{status}");
        }
    }
}
