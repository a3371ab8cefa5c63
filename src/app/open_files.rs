//! How many files this process may hold open. Every connection is one, and
//! the usual soft limit of 1,024 is far below `http.max_connections`; it is
//! that low for programs that use select(2), which this one does not.
//!
//! Owns nothing; raises the process's soft limit once, before anything is
//! opened, and never lowers it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is open besides connections: the store's files, routes, the runtime.
const OTHER_FILES: u64 = 1_024;

/// Raises the soft limit to the hard one. Returns how many connections there
/// is room for beside everything else: `max_connections`, or fewer, which is
/// said in the log.
pub(super) fn raise(max_connections: usize) -> usize {
    let now = getrlimit(Resource::Nofile);
    if now.current != now.maximum {
        let raised = Rlimit { current: now.maximum, maximum: now.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files stays as it is");
        }
    }
    let allowed = getrlimit(Resource::Nofile).current;
    let connections = room(max_connections, allowed);
    if connections < max_connections {
        tracing::warn!(
            allowed,
            max_connections,
            connections,
            "fewer open files are allowed (ulimit -Hn, LimitNOFILE) than http.max_connections \
             needs: fewer connections are taken at one time, others wait"
        );
    }
    connections
}

/// Of `allowed` files, what connections may have; at least half of them where
/// even everything else has too little.
fn room(max_connections: usize, allowed: Option<u64>) -> usize {
    let Some(allowed) = allowed else { return max_connections };
    let room = allowed.saturating_sub(OTHER_FILES).max(allowed / 2).max(1);
    max_connections.min(usize::try_from(room).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        assert_eq!(raise(1), 1);
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.maximum), (before.maximum, before.maximum));
    }

    #[test]
    fn connections_leave_room_for_everything_else() {
        assert_eq!(room(24_576, None), 24_576);
        assert_eq!(room(24_576, Some(1 << 20)), 24_576);
        assert_eq!(room(24_576, Some(4_096)), 3_072);
        assert_eq!(room(24_576, Some(1_024)), 512);
        assert_eq!(room(100, Some(4_096)), 100);
    }
}
