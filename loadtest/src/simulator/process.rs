//! A simulator as a process of its own, for the stage and for people.
//!
//! Owns the simulators it starts. Prints ONE JSON line on standard output when they listen, and ends on SIGTERM, SIGINT
//! or end of standard input, so that it dies with its parent even when the parent is killed.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Kind, Options, Simulator, SimulatorError};

/// Which simulators a process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessKind {
    /// One provider.
    One(Kind),
    /// All three.
    All,
}

/// How a simulator process is started.
#[derive(Debug, Clone)]
pub struct ProcessOptions {
    /// Which simulators.
    pub kind: ProcessKind,
    /// Options of the simulators; `kind` in it is replaced by the one above. With [`ProcessKind::All`] the second and the
    /// third simulator take the next ports, unless the port is 0.
    pub options: Options,
    /// Folder of the credentials the options were loaded from.
    pub folder: PathBuf,
    /// End with the end of standard input.
    pub end_with_stdin: bool,
}

/// Starts the simulators, prints their addresses and waits for the end.
///
/// The line: `{"kind":"apns","endpoint":…,"control":…}`, for FCM with `token_uri`; for all
/// `{"kind":"all","apns":{…},"fcm":{…},"smtp":{…}}`.
///
/// # Errors
/// As [`Simulator::start`]; or standard output is closed.
pub async fn run_process(options: ProcessOptions) -> Result<(), SimulatorError> {
    let mut running = Vec::new();
    let line = match options.kind {
        ProcessKind::One(kind) => {
            let simulator = start(&options, kind, 0).await?;
            let line = describe(&simulator, kind);
            running.push(simulator);
            line
        }
        ProcessKind::All => {
            let apns = start(&options, Kind::Apns, 0).await?;
            let fcm = start(&options, Kind::Fcm, 1).await?;
            let smtp = start(&options, Kind::Smtp, 2).await?;
            let line = json!({
                "kind": "all",
                "apns": describe(&apns, Kind::Apns),
                "fcm": describe(&fcm, Kind::Fcm),
                "smtp": describe(&smtp, Kind::Smtp),
            });
            running.extend([apns, fcm, smtp]);
            line
        }
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(SimulatorError::Start)?;
    drop(out);
    until_the_end(options.end_with_stdin).await?;
    for simulator in running {
        let books = simulator.shutdown().await;
        tracing::info!(
            kind = books.kind,
            requests = books.requests,
            accepted = books.accepted,
            duplicates = books.duplicates,
            refused = books.refused,
            "simulator ended"
        );
    }
    Ok(())
}

async fn start(
    process: &ProcessOptions,
    kind: Kind,
    step: u16,
) -> Result<Simulator, SimulatorError> {
    let mut options = process.options.clone();
    options.kind = kind;
    options.bind = next(options.bind, step);
    options.control_bind = next(options.control_bind, step);
    options.credentials_folder = Some(process.folder.clone());
    Simulator::start(options).await
}

fn next(mut address: SocketAddr, step: u16) -> SocketAddr {
    if address.port() != 0 {
        address.set_port(address.port().saturating_add(step));
    }
    address
}

fn describe(simulator: &Simulator, kind: Kind) -> Value {
    let mut line = json!({
        "kind": kind.name(),
        "endpoint": simulator.endpoint(),
        "control": format!("http://{}", simulator.control_address()),
    });
    if let (Some(uri), Some(object)) = (simulator.token_uri(), line.as_object_mut()) {
        object.insert("token_uri".to_owned(), Value::from(uri));
    }
    line
}

async fn until_the_end(end_with_stdin: bool) -> Result<(), SimulatorError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(SimulatorError::Start)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(SimulatorError::Start)?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = stdin_closed(), if end_with_stdin => {}
    }
    Ok(())
}

/// Ends with standard input. A thread of its own reads it: a blocked read cannot be cancelled, and inside the runtime
/// it would hold up the end of the process; here the process simply ends around it.
pub(crate) async fn stdin_closed() {
    let (closed, waits) = oneshot::channel();
    let reader = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut buffer = [0; 256];
        let mut stdin = std::io::stdin().lock();
        while matches!(stdin.read(&mut buffer), Ok(read) if read > 0) {}
        // The other end is gone when another signal came first.
        let _ = closed.send(());
    });
    if reader.is_err() || waits.await.is_err() {
        std::future::pending::<()>().await;
    }
}
