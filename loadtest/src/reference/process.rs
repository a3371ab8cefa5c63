//! The reference as a child process: started, waited for, heard.
//!
//! Owns the child while it runs; it is killed when the future that waits for it is dropped.

use std::path::Path;
use std::time::Duration;

use super::{ReferenceReport, ReferenceSpec};
use crate::simulator::credentials::write_private;
use crate::stage::child::Child;
use crate::stage::{SimLauncher, StageError};

impl ReferenceSpec {
    /// Runs it with this program and these arguments before the path of the specification, which is written to `folder`
    /// beside the log.
    ///
    /// # Errors
    /// [`StageError`] with the end of its log; or it took longer than `limit`.
    pub async fn run_process(
        &self,
        launcher: &SimLauncher,
        folder: &Path,
        limit: Duration,
    ) -> Result<ReferenceReport, StageError> {
        let other = |error: serde_json::Error| StageError::Other(format!("reference: {error}"));
        let file = folder.join("reference.json");
        write_private(&file, &serde_json::to_vec_pretty(self).map_err(other)?)?;
        let mut args = launcher.args.clone();
        args.push(file.display().to_string());
        let log = folder.join("reference.log");
        let (child, line) = Child::start(&launcher.program, &args, &[], &log, limit).await?;
        child.kill().await?;
        serde_json::from_str(&line).map_err(other)
    }
}
