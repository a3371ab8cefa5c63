//! Where a provider is: scheme, host and port of an option.
//!
//! Owns the reading of the option; anything but `http(s)://host[:port]` and,
//! where allowed, a path is refused with the option's name.

use hyper::http::uri::{Authority, PathAndQuery, Scheme, Uri};
use rustls::pki_types::ServerName;

use crate::provider::OptionsError;

/// A checked endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    scheme: Scheme,
    authority: Authority,
    host: String,
    port: u16,
    name: Option<ServerName<'static>>,
    path: PathAndQuery,
}

impl Endpoint {
    /// Reads an endpoint without a path.
    pub(crate) fn parse(option: &str, text: &str) -> Result<Self, OptionsError> {
        let endpoint = Self::with_path(option, text)?;
        if endpoint.path != "/" {
            return Err(OptionsError::new(option, "must end after host and port"));
        }
        Ok(endpoint)
    }

    /// Reads an endpoint that may have a path.
    pub(crate) fn with_path(option: &str, text: &str) -> Result<Self, OptionsError> {
        let wrong = |reason: &str| OptionsError::new(option, reason);
        let uri: Uri = text.parse().map_err(|_| wrong("must be a URL such as https://host:443"))?;
        let parts = uri.into_parts();
        let scheme = parts
            .scheme
            .filter(|scheme| *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP)
            .ok_or_else(|| wrong("must start with https:// or http://"))?;
        let authority = parts.authority.ok_or_else(|| wrong("must name a host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("must not carry a user name"));
        }
        let secure = scheme == Scheme::HTTPS;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let name = secure
            .then(|| ServerName::try_from(host.clone()))
            .transpose()
            .map_err(|_| wrong("must name a host that a certificate can name"))?;
        let port = match authority.port_u16() {
            Some(0) => return Err(wrong("has no valid port")),
            Some(port) => port,
            None if authority.as_str() != authority.host() => {
                return Err(wrong("has no valid port"));
            }
            None if secure => 443,
            None => 80,
        };
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { scheme, authority, host, port, name, path })
    }

    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as written, for messages and `:authority`.
    pub(crate) const fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) const fn path(&self) -> &PathAndQuery {
        &self.path
    }

    /// The name the certificate must carry; none means cleartext.
    pub(crate) fn server_name(&self) -> Option<ServerName<'static>> {
        self.name.clone()
    }

    /// The URI of `path` on this endpoint.
    pub(crate) fn uri(&self, path: PathAndQuery) -> Result<Uri, hyper::http::uri::InvalidUriParts> {
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn scheme_host_and_port_are_read_with_their_defaults() {
        let endpoint = Endpoint::parse("endpoint", "https://api.push.apple.com").unwrap();
        assert_eq!((endpoint.host(), endpoint.port()), ("api.push.apple.com", 443));
        assert!(endpoint.server_name().is_some());
        let endpoint = Endpoint::parse("endpoint", "http://[::1]:2197/").unwrap();
        assert_eq!((endpoint.host(), endpoint.port()), ("::1", 2197));
        assert!(endpoint.server_name().is_none());
        let endpoint = Endpoint::with_path("token_uri", "https://oauth2.example/token").unwrap();
        assert_eq!(endpoint.path(), "/token");
    }

    #[test]
    fn anything_else_is_refused_with_the_options_name() {
        for text in [
            "",
            "api.push.apple.com",
            "ftp://host",
            "https://host:99999",
            "https://host:0",
            "https://host:",
            "https://user@host",
            "https://host/path",
            "https://host?query",
        ] {
            let error = Endpoint::parse("endpoint", text).unwrap_err();
            assert_eq!(error.place, "endpoint", "{text}");
        }
    }
}
