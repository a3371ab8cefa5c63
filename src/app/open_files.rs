//! How many files this process may hold open. Every connection is one, and
//! the usual soft limit of 1,024 is far below `http.max_connections`; it is
//! that low for programs that use select(2), which this one does not.
//!
//! Owns nothing; raises the process's soft limit once, before anything is
//! opened, and never lowers it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides connections: the store's files, routes, the runtime.
const OTHER_FILES: u64 = 1_024;

/// Raises the soft limit to the hard one, and says so in the log when that is
/// too little for `max_connections`: a server that never has so many is well.
pub(super) fn raise(max_connections: usize) {
    let now = getrlimit(Resource::Nofile);
    if now.current != now.maximum {
        let raised = Rlimit { current: now.maximum, maximum: now.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    let allowed = getrlimit(Resource::Nofile).current;
    let wanted = u64::try_from(max_connections).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    if let Some(allowed) = allowed.filter(|allowed| *allowed < wanted) {
        tracing::warn!(
            allowed,
            max_connections,
            "fewer open files are allowed (ulimit -Hn, LimitNOFILE) than http.max_connections may \
             need: beyond it, new connections wait"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        raise(1);
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.maximum), (before.maximum, before.maximum));
    }
}
