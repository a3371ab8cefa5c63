//! How many files this process may hold open. Every connection is one, and
//! the usual soft limit of 1,024 is far below `http.max_connections`; it is
//! that low for programs that use select(2), which this one does not.
//!
//! Owns the process's soft limit: raised once, before anything is opened, to
//! the hard one. Where that is too little, connections and live sessions are
//! fewer than configured, with a warning: a connection that waits costs less
//! than a store that cannot open its next file, which ends the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Config;

/// Kept for what is no connection: the store keeps up to 900 files open, then
/// come routes, logs and the runtime.
const OTHER_FILES: usize = 2_048;

/// Raises the soft limit and fits the configuration to it.
pub(super) fn settle(config: &mut Config) {
    raise();
    let Some(allowed) = getrlimit(Resource::Nofile).current else { return };
    let allowed = usize::try_from(allowed).unwrap_or(usize::MAX);
    let wanted = (config.http.max_connections, config.live.max_sessions);
    let Some((connections, sessions)) = fit(allowed, wanted) else { return };
    tracing::warn!(
        allowed,
        connections,
        sessions,
        "http.max_connections and live.max_sessions are lowered: this process may not open more \
         files (ulimit -Hn, LimitNOFILE)"
    );
    config.http.max_connections = connections;
    config.live.max_sessions = sessions;
}

fn raise() {
    let now = getrlimit(Resource::Nofile);
    if now.current == now.maximum {
        return;
    }
    let raised = Rlimit { current: now.maximum, maximum: now.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// Connections and live sessions that `allowed` files suffice for, should
/// they be fewer than `wanted`. Live sessions hold their connections for
/// hours: a fifth stays free of them, for everybody else.
fn fit(allowed: usize, wanted: (usize, usize)) -> Option<(usize, usize)> {
    let connections = (allowed - OTHER_FILES.min(allowed / 2)).max(1);
    (connections < wanted.0).then(|| (connections, wanted.1.min(connections / 5 * 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let before = getrlimit(Resource::Nofile);
        raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!((now.current, now.maximum), (before.maximum, before.maximum));
    }

    #[test]
    fn connections_leave_files_to_the_store_and_sessions_leave_connections_to_senders() {
        let wanted = (24_576, 20_000);
        assert_eq!(fit(1_048_576, wanted), None);
        assert_eq!(fit(24_576 + 2_048, wanted), None);
        assert_eq!(fit(20_000, wanted), Some((17_952, 14_360)));
        assert_eq!(fit(20_000, (24_576, 100)), Some((17_952, 100)));
        assert_eq!(fit(1_024, wanted), Some((512, 408)));
        for allowed in 0..4 {
            assert!(fit(allowed, wanted).is_some_and(|(connections, _)| connections >= 1));
        }
    }
}
