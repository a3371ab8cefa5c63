//! Whether a Redis keeps what it answered: its settings, read and judged.
//!
//! Every promise of the store rests on settings of Redis that its defaults do
//! not have: an answer means fsynced, and what was answered is there after a
//! crash and after a failover. [`examine`] reads them from every master,
//! [`judge`] says what is dangerous; it decides nothing.
//!
//! Settings can be changed while Redis runs; they are read at each start of a
//! node, not watched. The settings of replicas are not read: they are to be the
//! same, since each may become the master.
//!
//! The rules, by the documents of Redis: `appendonly` and `appendfsync`
//! ("Redis persistence": only `always` fsyncs before the answer),
//! `no-appendfsync-on-rewrite` (redis.conf: while a rewrite runs, durability is
//! that of `appendfsync no`), `maxmemory-policy` ("Key eviction"; it is judged
//! even where `maxmemory` is 0, since that limit may be set later, in a running
//! server, and the policy then removes rows at that instant), `WAIT` and
//! `min-replicas-to-write` ("Redis replication", "Sentinel": a master that was
//! cut off takes writes that are gone when it comes back as a replica).

use std::fmt;

use redis::{Cmd, Value};

use super::link::{Link, Master};
use super::options::{OpenError, RedisOptions, Servers};

/// The oldest version that has all that scripts and channels need.
const OLDEST: (u16, u16) = (7, 0);

/// One thing about one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which server.
    pub at: String,
    /// What it is.
    pub danger: Danger,
}

/// What is dangerous.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Danger {
    /// It is too old; nothing can be said to that.
    Version {
        /// As it calls itself.
        found: String,
    },
    /// A setting.
    Setting {
        /// Its name.
        name: &'static str,
        /// Its value.
        found: String,
        /// The value it needs.
        needed: String,
        /// What happens otherwise.
        because: &'static str,
    },
    /// Another number of replicas than is waited for.
    Replicas {
        /// Connected.
        found: u64,
        /// Waited for: `store.redis_replicas`.
        wanted: u8,
    },
    /// It does not show its settings.
    Hidden {
        /// What it answered.
        reason: String,
    },
}

impl Finding {
    /// Whether the store cannot work with it at all, loss accepted or not.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        matches!(self.danger, Danger::Version { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.at;
        match &self.danger {
            Danger::Version { found } => write!(
                f,
                "Redis {at}: version {found}, and Araldo needs {}.{} or newer: upgrade it",
                OLDEST.0, OLDEST.1
            ),
            Danger::Setting { name, found, needed, because } => write!(
                f,
                "Redis {at}: {name} is {found} and must be {needed}: {because}; set it with CONFIG \
                 SET {name} {needed}, and in its configuration file"
            ),
            Danger::Replicas { found, wanted: 0 } => write!(
                f,
                "Redis {at}: store.redis_replicas is 0 and must be 1 or more, since it may be \
                 replaced by a replica ({found} connected): what no replica confirmed is lost then"
            ),
            Danger::Replicas { found, wanted } => write!(
                f,
                "Redis {at}: {found} replicas are connected, and store.redis_replicas waits for \
                 {wanted}: no write could be confirmed; connect more, or wait for fewer"
            ),
            Danger::Hidden { reason } => write!(
                f,
                "Redis {at}: its settings cannot be read ({reason}), so whether it keeps what it \
                 answers is not known: allow CONFIG GET and INFO to Araldo's user, or set \
                 store.redis_accept_loss = true"
            ),
        }
    }
}

/// What was read of a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `redis_version`.
    pub version: String,
    /// `appendonly`.
    pub appendonly: String,
    /// `appendfsync`.
    pub appendfsync: String,
    /// `no-appendfsync-on-rewrite`.
    pub no_appendfsync_on_rewrite: String,
    /// `maxmemory-policy`.
    pub maxmemory_policy: String,
    /// `min-replicas-to-write`.
    pub min_replicas_to_write: String,
    /// `connected_slaves`.
    pub replicas: u64,
}

/// What Araldo does beside that server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// Replicas it waits for.
    pub replicas: u8,
    /// Whether Sentinels watch the server: there is something to take its
    /// place, connected at this moment or not.
    pub is_watched: bool,
}

/// What is dangerous about a server with `settings`.
#[must_use]
pub fn judge(settings: &Settings, used: Use) -> Vec<Danger> {
    let mut dangers = Vec::new();
    if !is_new_enough(&settings.version) {
        dangers.push(Danger::Version { found: settings.version.clone() });
    }
    let is = |needed: &'static str| move |found: &str| found == needed;
    let mut need = |name, found: &str, fits: &dyn Fn(&str) -> bool, needed: &str, because| {
        if !fits(found) {
            let (found, needed) = (found.to_owned(), needed.to_owned());
            dangers.push(Danger::Setting { name, found, needed, because });
        }
    };
    let Settings { appendonly, appendfsync, .. } = settings;
    let lost = "without it a restart loses what was answered";
    need("appendonly", appendonly, &is("yes"), "yes", lost);
    let lost = "otherwise a crash loses the newest that was answered";
    need("appendfsync", appendfsync, &is("always"), "always", lost);
    let rewrite = &settings.no_appendfsync_on_rewrite;
    let lost = "otherwise nothing is fsynced while the file is rewritten";
    need("no-appendfsync-on-rewrite", rewrite, &is("no"), "no", lost);
    let policy = &settings.maxmemory_policy;
    let lost = "otherwise rows are removed when memory is short";
    need("maxmemory-policy", policy, &is("noeviction"), "noeviction", lost);
    if settings.replicas > 0 || used.replicas > 0 || used.is_watched {
        let least = &settings.min_replicas_to_write;
        let some = |found: &str| found.parse::<u64>().is_ok_and(|found| found > 0);
        let lost = "otherwise a master that is cut off takes writes that are lost";
        let needed = used.replicas.max(1).to_string();
        need("min-replicas-to-write", least, &some, &needed, lost);
    }
    let unguarded = used.replicas == 0 && (settings.replicas > 0 || used.is_watched);
    if unguarded || settings.replicas < u64::from(used.replicas) {
        dangers.push(Danger::Replicas { found: settings.replicas, wanted: used.replicas });
    }
    dangers
}

fn is_new_enough(version: &str) -> bool {
    let mut parts = version.split('.').map(str::parse::<u16>);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
        _ => false,
    }
}

/// Reads the settings of every master of `options` and judges them.
///
/// # Errors
/// [`OpenError`]: an address cannot be read, or nobody answers.
pub async fn examine(options: &RedisOptions) -> Result<Vec<Finding>, OpenError> {
    let link = Link::new(options)?;
    let refused = |at: String| move |reason| OpenError::Unavailable { at, reason };
    let masters = link.masters().await.map_err(refused(link.at()))?;
    let used = Use {
        replicas: options.replicas,
        is_watched: matches!(options.servers, Servers::Sentinel { .. }),
    };
    let mut findings = Vec::new();
    for master in masters {
        let at = master.at();
        let dangers = match read(&master).await.map_err(refused(at.clone()))? {
            Ok(settings) => judge(&settings, used),
            Err(reason) => vec![Danger::Hidden { reason }],
        };
        findings.extend(dangers.into_iter().map(|danger| Finding { at: at.clone(), danger }));
    }
    Ok(findings)
}

/// The names of the settings that are read.
const NAMES: [&str; 5] = [
    "appendonly",
    "appendfsync",
    "no-appendfsync-on-rewrite",
    "maxmemory-policy",
    "min-replicas-to-write",
];

/// The settings of one server, or why it does not show them.
///
/// # Errors
/// Why it does not answer at all.
async fn read(master: &Master) -> Result<Result<Settings, String>, String> {
    let info = |section: &str| {
        let mut info = redis::cmd("INFO");
        info.arg(section);
        info
    };
    // One by one: several in one question is new in version 7.
    let setting = |name: &&str| {
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg(*name);
        get
    };
    let mut questions: Vec<Cmd> = vec![info("server"), info("replication")];
    questions.extend(NAMES.iter().map(setting));
    let answers = master.ask(&questions).await?;
    Ok(of_answers(answers))
}

fn of_answers(answers: Vec<Value>) -> Result<Settings, String> {
    let mut answers = answers.into_iter();
    let mut info = |field: &str| {
        let text = text(answers.next().unwrap_or_default())?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned()).ok_or_else(|| format!("it does not tell {field}"))
    };
    let version = info("redis_version")?;
    let replicas = info("connected_slaves")?.parse().map_err(|_| "it counts no replicas")?;
    let mut setting = |name: &str| match answers.next() {
        Some(Value::Array(parts)) => match parts.into_iter().nth(1) {
            Some(value) => text(value),
            None => Err(format!("it does not tell {name}")),
        },
        Some(Value::Map(parts)) => match parts.into_iter().next() {
            Some((_, value)) => text(value),
            None => Err(format!("it does not tell {name}")),
        },
        other => text(other.unwrap_or_default()),
    };
    let [appendonly, appendfsync, rewrite, policy, least] = NAMES;
    Ok(Settings {
        version,
        replicas,
        appendonly: setting(appendonly)?,
        appendfsync: setting(appendfsync)?,
        no_appendfsync_on_rewrite: setting(rewrite)?,
        maxmemory_policy: setting(policy)?,
        min_replicas_to_write: setting(least)?,
    })
}

/// A text, or why it is none.
fn text(value: Value) -> Result<String, String> {
    match value {
        Value::BulkString(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) => Ok(text),
        Value::VerbatimString { text, .. } => Ok(text),
        Value::ServerError(error) => Err(format!("it answered {}", error.code())),
        _ => Err("its answer cannot be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Danger, Settings, Use, judge};

    const ALONE: Use = Use { replicas: 0, is_watched: false };

    fn durable() -> Settings {
        let text = str::to_owned;
        Settings {
            version: text("7.0.15"),
            appendonly: text("yes"),
            appendfsync: text("always"),
            no_appendfsync_on_rewrite: text("no"),
            maxmemory_policy: text("noeviction"),
            min_replicas_to_write: text("0"),
            replicas: 0,
        }
    }

    fn names(dangers: &[Danger]) -> Vec<String> {
        let name = |danger: &Danger| match danger {
            Danger::Version { .. } => "version".to_owned(),
            Danger::Setting { name, needed, .. } => format!("{name} {needed}"),
            Danger::Replicas { found, wanted } => format!("replicas {found}/{wanted}"),
            Danger::Hidden { .. } => "hidden".to_owned(),
        };
        dangers.iter().map(name).collect()
    }

    #[test]
    fn a_durable_server_alone_is_safe() {
        assert_eq!(judge(&durable(), ALONE), []);
    }

    #[test]
    fn every_setting_that_loses_what_was_answered_is_found() {
        type Change = fn(&mut Settings);
        let table: [(&str, Change); 8] = [
            ("appendonly yes", |s| s.appendonly = "no".to_owned()),
            ("appendfsync always", |s| s.appendfsync = "everysec".to_owned()),
            ("no-appendfsync-on-rewrite no", |s| s.no_appendfsync_on_rewrite = "yes".to_owned()),
            ("maxmemory-policy noeviction", |s| s.maxmemory_policy = "volatile-lru".to_owned()),
            ("version", |s| s.version = "6.2.14".to_owned()),
            ("version", |s| s.version = "unstable".to_owned()),
            ("replicas 1/0", |s| {
                s.replicas = 1;
                s.min_replicas_to_write = "1".to_owned();
            }),
            ("min-replicas-to-write 1,replicas 1/0", |s| s.replicas = 1),
        ];
        for (expected, change) in table {
            let mut settings = durable();
            change(&mut settings);
            assert_eq!(names(&judge(&settings, ALONE)).join(","), expected);
        }
        let newest = Settings { version: "10.0.1".to_owned(), ..durable() };
        assert_eq!(judge(&newest, ALONE), []);
    }

    #[test]
    fn replicas_are_waited_for_where_one_may_take_over_and_only_as_many_as_there_are() {
        let with = |replicas: u64, least: &str| Settings {
            replicas,
            min_replicas_to_write: least.to_owned(),
            ..durable()
        };
        let waits = |replicas, is_watched| Use { replicas, is_watched };
        for (settings, used, expected) in [
            (with(2, "1"), waits(1, true), ""),
            (with(2, "2"), waits(2, false), ""),
            (with(1, "1"), waits(2, true), "replicas 1/2"),
            (with(2, "0"), waits(2, true), "min-replicas-to-write 2"),
            // They may be away for the moment.
            (with(0, "1"), waits(0, true), "replicas 0/0"),
            (with(0, "0"), waits(1, false), "min-replicas-to-write 1,replicas 0/1"),
        ] {
            assert_eq!(names(&judge(&settings, used)).join(","), expected);
        }
    }
}
