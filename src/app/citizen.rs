//! From configuration to the citizens' side of the API.

use std::sync::Arc;

use crate::config::Config;
use crate::http::citizen::Citizens;
use crate::http::citizen::issuer::Issuer;
use crate::link::Links;
use crate::post::Post;

/// What the API is given for its citizens' side.
pub(super) fn side(config: &Config, issuer: Issuer, links: Arc<Links>, post: Post) -> Citizens {
    if issuer.takes_development_tokens() {
        tracing::warn!(
            "citizen.development_key_file is set: whoever reads that file can be any citizen; \
             never do this in production"
        );
    }
    Citizens {
        issuer,
        links,
        mails: Arc::new(move |to, language, link| post.try_send(to, language, link)),
        live: config.live,
        link_validity: config.citizen.validation,
        deletion_grace: config.retention.deletion_grace,
    }
}
