//! `araldo-loadtest`: provider simulators and load tester of Araldo. Only parses and hands over to `cli`.

use std::process::ExitCode;

use clap::Parser;

mod cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = cli::Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_env("ARALDO_LOG").unwrap_or_else(
            |_| tracing_subscriber::EnvFilter::new("info,fjall=warn,lsm_tree=warn"),
        ))
        .with_writer(std::io::stderr)
        .init();
    match cli::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
