//! How a command ends when it does not succeed.

use std::io;
use std::process::ExitCode;

/// Why a command ended early.
#[derive(Debug)]
pub enum CliError {
    /// Asked for in a wrong way, or with a wrong configuration: exit code 2.
    Usage(String),
    /// Tried, and failed: exit code 1.
    Failed(String),
    /// Failed, and said so already: exit code 1.
    Reported,
    /// The output cannot be written.
    Output(io::Error),
}

impl CliError {
    /// What is left to say.
    pub fn message(&self) -> Option<String> {
        match self {
            Self::Usage(text) | Self::Failed(text) => Some(text.clone()),
            Self::Reported => None,
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => None,
            Self::Output(error) => Some(format!("cannot write the output: {error}")),
        }
    }

    /// The exit code of the process.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Self::Failed(_) | Self::Reported | Self::Output(_) => ExitCode::FAILURE,
        }
    }
}

/// Only the output is written with `?`; reading a file says which.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}
