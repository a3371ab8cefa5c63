//! The rules of ARCHITECTURE.md that a machine can hold: who may import what,
//! how long files and functions may be, where metrics are named, what a
//! dashboard's file needs.
//!
//! A rule that fails names the file, the line and what to do instead.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/dashboard.rs"]
mod dashboard;

/// Longest file; 120 to 250 lines are usual.
const FILE_LINES: usize = 600;
/// Longest function; over 40 is rare.
const FUNCTION_LINES: usize = 70;

/// What the files below a folder must not mention.
struct Ban {
    folder: &'static str,
    /// Files below the folder that the ban does not meet.
    except: &'static [&'static str],
    words: &'static [&'static str],
    instead: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        folder: "actors/src",
        except: &[],
        words: &[
            "redis::",
            "axum::",
            "hyper::",
            "fjall::",
            "std::fs",
            "std::net",
            "tokio::net",
            "tokio::fs",
            "std::env",
            "SystemTime",
            "rand::",
        ],
        instead: "the engine reaches the outside only through its ports",
    },
    Ban {
        folder: "actors/src/domain",
        except: &[],
        words: &[
            "ractor",
            "tokio",
            "async fn",
            "Instant::now",
            "HashMap",
            "HashSet",
            "crate::port",
            "crate::actor",
            "crate::policy",
            "crate::message::",
        ],
        instead: "the domain is passive data",
    },
    Ban {
        folder: "actors/src/policy",
        except: &[],
        words: &[
            "ractor",
            "tokio",
            "async fn",
            "Instant::now",
            "HashMap",
            "HashSet",
            "crate::port",
            "crate::actor",
            "crate::message::",
            "crate::engine",
        ],
        instead: "policies are pure: pass in what they need, return what they decide",
    },
    Ban {
        folder: "src/http",
        except: &[],
        words: &["crate::store", "crate::provider", "ractor", "crate::cli"],
        instead: "http holds an engine handle",
    },
    Ban {
        folder: "src/store",
        except: &[],
        words: &["crate::http", "crate::config", "crate::provider", "ractor"],
        instead: "the store takes its own options",
    },
    Ban {
        folder: "src/provider",
        except: &[],
        words: &["crate::http", "crate::config", "crate::store", "ractor"],
        instead: "a provider takes its own options",
    },
    Ban {
        folder: "src",
        except: &[
            "src/cli/serve.rs",
            "src/cli/check_config.rs",
            "src/cli/migrate.rs",
            "src/lib.rs",
        ],
        words: &["crate::app", "{app"],
        instead: "nothing imports the assembly but the commands that start, check and move it",
    },
    Ban {
        folder: "src",
        except: &["src/cli/demo.rs", "src/cli/demo", "src/cli/sim.rs"],
        words: &["araldo_loadtest"],
        instead: "only the demo uses the simulators",
    },
    Ban {
        folder: "loadtest",
        except: &[],
        words: &["araldo_actors", "araldo::"],
        instead: "the judge shares no code with the judged",
    },
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of the workspace, by path from its root.
fn rust_files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["src", "actors", "loadtest", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "the rules read {} files: wrong folder?", files.len());
    files
}

fn collect(folder: &Path, files: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.ends_with("target") {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            files.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Lines of code that is shipped, with their numbers: comments and unit tests
/// left out.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let shipped = text.lines().take_while(|line| *line != "#[cfg(test)]");
    shipped.enumerate().filter_map(|(index, line)| {
        let line = line.split("//").next().unwrap_or_default();
        (!line.trim().is_empty()).then_some((index + 1, line))
    })
}

fn report(faults: &[String]) {
    let mut text = String::new();
    for fault in faults {
        writeln!(text, "  {fault}").unwrap();
    }
    assert!(faults.is_empty(), "{} faults:\n{text}", faults.len());
}

fn below(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/') || rest.starts_with('.'))
        || name == folder
}

#[test]
fn nobody_imports_what_the_house_forbids() {
    let mut faults = Vec::new();
    for (name, text) in rust_files() {
        if name.ends_with("/tests.rs") {
            continue;
        }
        for ban in BANS.iter().filter(|ban| below(&name, ban.folder)) {
            if ban.except.iter().any(|except| below(&name, except)) {
                continue;
            }
            for (line, code) in code(&text) {
                for word in ban.words.iter().filter(|word| code.contains(**word)) {
                    faults.push(format!("{name}:{line}: `{word}`: {}", ban.instead));
                }
            }
        }
    }
    report(&faults);
}

#[test]
fn files_stay_short() {
    let long = |(name, text): (String, String)| {
        let lines = text.lines().count();
        (lines > FILE_LINES).then(|| format!("{name}: {lines} lines, at most {FILE_LINES}"))
    };
    report(&rust_files().into_iter().filter_map(long).collect::<Vec<_>>());
}

#[test]
fn functions_stay_short() {
    let mut faults = Vec::new();
    for (name, text) in rust_files() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let head = line.trim_start();
            let is_function = ["fn ", "pub fn ", "pub(crate) fn ", "async fn ", "pub async fn "]
                .iter()
                .any(|opening| head.starts_with(opening));
            let closing = format!("{}}}", " ".repeat(indent));
            let Some(length) = lines[start..].iter().position(|line| *line == closing) else {
                continue;
            };
            if is_function && !head.ends_with(';') && length + 1 > FUNCTION_LINES {
                faults.push(format!("{name}:{}: {} lines", start + 1, length + 1));
            }
        }
    }
    report(&faults);
}

#[test]
fn every_file_opens_with_its_design_note_and_none_is_a_mod_rs() {
    let mut faults = Vec::new();
    for (name, text) in rust_files() {
        if !text.starts_with("//!") {
            faults.push(format!("{name}: starts without a `//!` note"));
        }
        if name.ends_with("/mod.rs") {
            faults.push(format!("{name}: use NAME.rs beside the folder NAME"));
        }
    }
    report(&faults);
}

#[test]
fn metrics_are_named_in_one_file_per_crate() {
    let homes = ["actors/src/metric.rs", "src/telemetry/metric.rs"];
    let mut faults = Vec::new();
    for (name, text) in rust_files() {
        let named =
            name == "tests/tidy.rs" || name.starts_with("tests/") || homes.contains(&name.as_str());
        if named || below(&name, "loadtest") {
            continue;
        }
        for (line, code) in code(&text) {
            if code.contains("\"araldo_") {
                faults.push(format!("{name}:{line}: name metrics in {homes:?}"));
            }
        }
    }
    report(&faults);
}

#[test]
fn the_tree_speaks_of_the_project_alone() {
    let faults: Vec<_> = rust_files()
        .into_iter()
        .filter(|(name, _)| name != "tests/tidy.rs")
        .flat_map(|(name, text)| {
            let words = ["/root/", "/work/", "/tmp/", "localhost.localdomain"];
            let hits = words.into_iter().filter(|word| text.contains(*word));
            hits.map(|word| format!("{name}: mentions `{word}`")).collect::<Vec<_>>()
        })
        .collect();
    report(&faults);
}
