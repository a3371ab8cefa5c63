//! Bodies of texts that go to many, written once for each language.
//!
//! Reading Markdown, sanitising and filling templates is most of the work of a
//! mail; of an alert's, only the reader's own link differs. A stencil is the
//! body without it. The first reader's link, sealed and so in no text but where
//! the templates put it, shows where it belongs, and is not kept.

use std::sync::Arc;

use araldo_actors::domain::citizen::Language;
use araldo_actors::domain::id::MessageId;
use quick_cache::sync::Cache;

/// Stencils kept, a text in one language each: up to 100 KB, the longest.
const KEPT: usize = 128;

/// Text and HTML, cut where the reader's link goes.
struct Stencil {
    text: Vec<String>,
    html: Vec<String>,
}

/// See the module's text.
pub(super) struct Stencils(Cache<(MessageId, Language), Arc<Stencil>>);

impl Stencils {
    pub(super) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    /// Text and HTML of what is named by `key` with `link` in it; `write` makes
    /// them with that link when they are not kept.
    pub(super) fn fill<E>(
        &self,
        key: (MessageId, Language),
        link: &str,
        write: impl FnOnce() -> Result<(String, String), E>,
    ) -> Result<(String, String), E> {
        let stencil = self.0.get_or_insert_with(&key, || {
            let (text, html) = write()?;
            Ok(Arc::new(Stencil { text: cut(&text, link), html: cut(&html, link) }))
        })?;
        Ok((stencil.text.join(link), stencil.html.join(link)))
    }
}

fn cut(body: &str, link: &str) -> Vec<String> {
    body.split(link).map(str::to_owned).collect()
}
