//! The number of files this process may hold open: thousands of sockets are more than the usual soft limit.
//!
//! Owns nothing; changes the limit of the whole process, upwards only, up to the hard limit.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Makes room for `wanted` open files.
///
/// # Errors
/// A sentence with both numbers when the hard limit is lower, or the system refuses.
pub fn raise_open_files(wanted: u64) -> Result<(), String> {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if let Some(maximum) = now.maximum
        && maximum < wanted
    {
        return Err(format!(
            "{wanted} open files are needed, at most {maximum} are allowed (ulimit -Hn)"
        ));
    }
    let limit = Rlimit { current: Some(wanted), maximum: now.maximum };
    setrlimit(Resource::Nofile, limit)
        .map_err(|error| format!("cannot raise the limit of open files: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_never_lowered_and_the_impossible_is_told() {
        raise_open_files(64).unwrap();
        let now = getrlimit(Resource::Nofile);
        assert!(now.current.is_none_or(|current| current >= 64));
        if now.maximum.is_some() {
            assert!(raise_open_files(u64::MAX - 1).unwrap_err().contains("ulimit"));
        }
    }
}
