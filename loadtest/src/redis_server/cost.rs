//! What Redis was asked to do: commands as clients sent them, and those that scripts carried out within.
//!
//! Owns nothing; reads `INFO commandstats`, which counts both alike.

use std::collections::BTreeMap;
use std::ops::Sub;

use serde::{Deserialize, Serialize};

use super::RedisServer;

/// How often each command was carried out since the server started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandCount(pub BTreeMap<String, u64>);

impl CommandCount {
    /// As the server counts now, without what it was asked to say so.
    #[must_use]
    pub fn of(server: &RedisServer) -> Self {
        Self::read(&server.ask(&["INFO", "commandstats"]))
    }

    fn read(text: &str) -> Self {
        let line = |line: &str| {
            let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            Some((name.to_owned(), rest.split(',').next()?.trim().parse().ok()?))
        };
        Self(text.lines().filter_map(line).filter(|(name, _)| name != "info").collect())
    }

    /// All commands, those within scripts and the scripts themselves included.
    #[must_use]
    pub fn all(&self) -> u64 {
        self.0.values().sum()
    }

    /// Scripts run.
    #[must_use]
    pub fn scripts(&self) -> u64 {
        let scripts = ["evalsha", "eval", "evalsha_ro", "eval_ro", "fcall"];
        scripts.iter().filter_map(|name| self.0.get(*name)).sum()
    }
}

impl Sub for &CommandCount {
    type Output = CommandCount;

    fn sub(self, earlier: Self) -> CommandCount {
        let before = |name: &String| earlier.0.get(name).copied().unwrap_or(0);
        let grown =
            |(name, count): (&String, &u64)| (name.clone(), count - before(name).min(*count));
        CommandCount(self.0.iter().map(grown).filter(|(_, count)| *count > 0).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_counted_by_name() {
        let text = "# Commandstats\r\ncmdstat_get:calls=3,usec=9,usec_per_call=3.00\r\n\
                    cmdstat_evalsha:calls=2,usec=1\r\ncmdstat_info:calls=7,usec=1\r\n";
        let count = CommandCount::read(text);
        assert_eq!((count.all(), count.scripts()), (5, 2));
        let before = CommandCount::read("cmdstat_get:calls=3,usec=9\r\n");
        assert_eq!((&count - &before).0, BTreeMap::from([("evalsha".to_owned(), 2)]));
    }
}
