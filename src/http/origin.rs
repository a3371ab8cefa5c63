//! Which network a call comes from.
//!
//! The peer of the connection, unless it is a trusted proxy: then the last
//! address in `X-Forwarded-For` that is not one. What clients write in front
//! of that is never believed.

use std::net::IpAddr;

use hyper::HeaderMap;
use ipnet::IpNet;

/// Address of the peer of the connection, set by the server for each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

/// Where the call comes from, or `None` when that cannot be known.
pub fn of(peer: Option<Peer>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let peer = peer?.0.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        return Some(peer);
    }
    let forwarded = headers.get_all("x-forwarded-for").into_iter().rev();
    let mut nearest = peer;
    for value in forwarded {
        for address in value.to_str().ok()?.rsplit(',') {
            nearest = address.trim().parse::<IpAddr>().ok()?.to_canonical();
            if !is_trusted(&nearest) {
                return Some(nearest);
            }
        }
    }
    Some(nearest)
}

/// Whether `origin` lies in one of `networks` (addresses or CIDR); none means
/// any.
pub fn is_authorized(origin: Option<IpAddr>, networks: &[String]) -> bool {
    if networks.is_empty() {
        return true;
    }
    let Some(origin) = origin else { return false };
    networks.iter().filter_map(|text| network(text)).any(|network| network.contains(&origin))
}

/// A CIDR network, or a single address.
pub fn network(text: &str) -> Option<IpNet> {
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

#[cfg(test)]
mod tests {
    use super::{HeaderMap, IpAddr, Peer, is_authorized, network, of};

    fn forwarded(values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("x-forwarded-for", hyper::header::HeaderValue::from_static(value));
        }
        headers
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let headers = forwarded(&["1.1.1.1, 203.0.113.9", "10.0.0.2"]);
        let trusted = [network("10.0.0.0/8").expect("a network")];
        let peer = |text| Some(Peer(address(text)));
        assert_eq!(of(peer("198.51.100.7"), &headers, &trusted), Some(address("198.51.100.7")));
        assert_eq!(of(peer("10.0.0.1"), &headers, &trusted), Some(address("203.0.113.9")));
        assert_eq!(of(peer("10.0.0.1"), &headers, &[]), Some(address("10.0.0.1")));
        assert_eq!(of(peer("10.0.0.1"), &forwarded(&["nonsense"]), &trusted), None);
    }

    #[test]
    fn a_service_is_called_only_from_its_networks() {
        let networks = ["192.0.2.0/24".to_owned(), "203.0.113.9".to_owned()];
        assert!(is_authorized(Some(address("192.0.2.77")), &networks));
        assert!(is_authorized(Some(address("203.0.113.9")), &networks));
        assert!(!is_authorized(Some(address("203.0.113.10")), &networks));
        assert!(!is_authorized(None, &networks));
        assert!(is_authorized(None, &[]));
    }
}
