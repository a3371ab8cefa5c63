//! Where the rounds of a bench live: a folder that is kept, or a temporary one that goes, once nobody writes to it any more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use araldo_loadtest::experiment::{Lab, OnStep};
use araldo_loadtest::stage::{SimLauncher, StageOptions};
use rustix::process::{WaitOptions, wait};
use tempfile::TempDir;
use tokio::time::Instant;

use super::super::Failure;

/// A killed child that has not ended in this time is left to the system.
const END_LIMIT: Duration = Duration::from_secs(5);

pub(in crate::cli) struct Rounds {
    base: PathBuf,
    araldo: PathBuf,
    /// Appended to every server's configuration.
    extra_config: String,
    temporary: Option<TempDir>,
}

impl Drop for Rounds {
    /// Children that were killed are gone only when the system says so; until then they may write to the folder.
    fn drop(&mut self) {
        let deadline = Instant::now() + END_LIMIT;
        while Instant::now() < deadline {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                // There is none.
                Err(_) => return,
            }
        }
    }
}

impl Rounds {
    pub(in crate::cli) fn new(
        folder: Option<&Path>,
        araldo: &Path,
        extra_config: String,
    ) -> Result<Self, Failure> {
        if !araldo.is_file() {
            return Err(format!("--araldo {}: no such file", araldo.display()).into());
        }
        let temporary = if folder.is_none() { Some(tempfile::tempdir()?) } else { None };
        let base = match (folder, &temporary) {
            (Some(folder), _) => folder.to_owned(),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => PathBuf::from("."),
        };
        Ok(Self { base, araldo: araldo.to_owned(), extra_config, temporary })
    }

    /// The stage of a round, in an empty folder of its own.
    pub(in crate::cli) fn stage(&self, name: &str) -> Result<StageOptions, Failure> {
        let folder = self.base.join(name);
        if folder.join("store").exists() {
            let folder = folder.display();
            return Err(
                format!("{folder}: holds a store of an earlier run; remove it first").into()
            );
        }
        let program = std::env::current_exe()?;
        let sim = SimLauncher { program, args: vec!["launch".to_owned()] };
        let mut options = StageOptions::new(self.araldo.clone(), sim, folder);
        options.extra_config.clone_from(&self.extra_config);
        Ok(options)
    }

    /// The same for a fault experiment, which makes its own stages in folders of their own.
    pub(in crate::cli) fn lab(&self, seed: u64, on_step: OnStep) -> Result<Lab, Failure> {
        let stage = self.stage("lab")?;
        let (araldo, sim, folder) = (stage.araldo, stage.sim, self.base.clone());
        Ok(Lab { araldo, sim, folder, seed, on_step: Some(on_step) })
    }

    /// Removes what a round left, unless it is to be kept.
    pub(in crate::cli) fn done(&self, name: &str) -> Result<(), Failure> {
        if self.temporary.is_some() {
            std::fs::remove_dir_all(self.base.join(name))?;
        }
        Ok(())
    }
}
