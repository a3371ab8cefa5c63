//! `araldo-loadtest sim`: a provider simulator as a process.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

use araldo_loadtest::simulator::{
    Behaviour, LaunchKind, LaunchSpec, SmtpAccount, SmtpOptions, SmtpTls,
};
use clap::{Args, ValueEnum};

use super::Failure;

#[derive(Clone, Copy, ValueEnum)]
enum Provider {
    /// Apple Push Notification service
    Apns,
    /// Firebase Cloud Messaging with its OAuth token endpoint
    Fcm,
    /// An SMTP relay
    Smtp,
    /// All three, in one process
    All,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  araldo-loadtest sim all --credentials ./sim
      All simulators over TLS on free ports. ./sim gets ca.pem, AuthKey.p8, apns.json and service-account.json:
      what the routes of the server need. One JSON line on standard output tells the addresses.

  araldo-loadtest sim apns --port 2197 --control-port 2198 --credentials ./sim
      APNs on a fixed port.
      curl -s http://127.0.0.1:2198/books        its own counts
      curl -s http://127.0.0.1:2198/deliveries   every delivery id, NDJSON
      curl -s -X POST http://127.0.0.1:2198/goaway

  echo '{\"latency_ms\":20,\"failures\":[{\"reason\":\"ServiceUnavailable\",\"share\":0.01,\"retry_after_seconds\":2}]}' > slow.json
  araldo-loadtest sim apns --behaviour slow.json --credentials ./sim
      A tired APNs. The same document can be sent while it runs:
      curl -s -X PUT --data @slow.json http://127.0.0.1:PORT/behaviour

  araldo-loadtest sim smtp --cleartext --port 2525 --control-port 2526 --credentials ./sim
      An SMTP relay in the clear.
      curl -s 'http://127.0.0.1:2526/mails?recipient=anna@posta.example'   what she got
      curl -s -X PUT --data '{\"smtp\":{\"failures\":[{\"at\":\"rcpt\",\"reply\":\"451 4.3.0\",\"share\":0.1}]}}' http://127.0.0.1:2526/behaviour

  Other fields of a behaviour: seed, jitter_ms, unregistered_share, unregistered_timestamp_ms, hang_share,
  lost_answer_share, reset_share, reset_reason, goaway_after_requests, refuse_connections, smtp {failures, greylist, command_delay_ms}.")]
pub(crate) struct Arguments {
    /// Which provider to simulate
    provider: Provider,
    /// Port for notifications; 0 takes a free one. `all` uses the next ports for FCM and SMTP
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Port of the control listener; 0 takes a free one. `all` uses the next ports for FCM and SMTP
    #[arg(long, default_value_t = 0)]
    control_port: u16,
    /// Address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Cleartext instead of TLS: HTTP/2 with prior knowledge, SMTP without STARTTLS
    #[arg(long)]
    cleartext: bool,
    /// SMTP: TLS from the first byte instead of STARTTLS
    #[arg(long, conflicts_with = "cleartext")]
    implicit_tls: bool,
    /// SMTP: who must sign in (AUTH PLAIN or LOGIN)
    #[arg(long, value_name = "NAME:PASSWORD")]
    account: Option<String>,
    /// SMTP: do not offer PIPELINING
    #[arg(long)]
    no_pipelining: bool,
    /// SMTP: latest mails kept for GET /mails
    #[arg(long, default_value_t = 1_000)]
    kept_mails: usize,
    /// Folder of keys and certificates; made when it does not exist
    #[arg(long, value_name = "FOLDER")]
    credentials: PathBuf,
    /// JSON file of what to do wrong
    #[arg(long, value_name = "FILE")]
    behaviour: Option<PathBuf>,
    /// SETTINGS_MAX_CONCURRENT_STREAMS
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    max_streams: u32,
    /// APNs: one stream a connection until its first request with a valid provider token (Apple's rule)
    #[arg(long)]
    one_stream_until_authorized: bool,
    /// APNs: seconds that must pass between two new provider tokens; 0 takes any number
    #[arg(long, value_name = "SECONDS", default_value_t = 1_200)]
    token_update_interval: u64,
    /// FCM: validity of an access token
    #[arg(long, value_name = "SECONDS", default_value_t = 3_600)]
    access_token_lifetime: u64,
    /// Go on when standard input ends
    #[arg(long)]
    keep_running: bool,
    /// Worker threads
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let behaviour = behaviour(&arguments)?;
    let kind = match arguments.provider {
        Provider::Apns => LaunchKind::Apns,
        Provider::Fcm => LaunchKind::Fcm,
        Provider::Smtp => LaunchKind::Smtp,
        Provider::All => LaunchKind::All,
    };
    let smtp = smtp(&arguments)?;
    let spec = LaunchSpec {
        smtp,
        bind: arguments.bind,
        port: arguments.port,
        control_port: arguments.control_port,
        tls: !arguments.cleartext,
        behaviour,
        max_streams: arguments.max_streams,
        one_stream_until_authorized: arguments.one_stream_until_authorized,
        token_update_interval: arguments.token_update_interval,
        access_token_lifetime: arguments.access_token_lifetime,
        threads: arguments.threads,
        end_with_stdin: !arguments.keep_running,
        ..LaunchSpec::new(kind, arguments.credentials)
    };
    spec.run()?;
    Ok(ExitCode::SUCCESS)
}

fn smtp(arguments: &Arguments) -> Result<SmtpOptions, Failure> {
    let account = match arguments.account.as_ref().map(|text| text.split_once(':')) {
        None => None,
        Some(None) => return Err("--account: write NAME:PASSWORD".into()),
        Some(Some((name, password))) => {
            Some(SmtpAccount { username: name.to_owned(), password: password.to_owned() })
        }
    };
    let tls = match (arguments.cleartext, arguments.implicit_tls) {
        (true, _) => SmtpTls::None,
        (false, true) => SmtpTls::Implicit,
        (false, false) => SmtpTls::Starttls,
    };
    Ok(SmtpOptions {
        tls,
        account,
        pipelining: !arguments.no_pipelining,
        kept_mails: arguments.kept_mails,
        ..SmtpOptions::default()
    })
}

fn behaviour(arguments: &Arguments) -> Result<Behaviour, Failure> {
    let Some(path) = &arguments.behaviour else {
        return Ok(Behaviour::default());
    };
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()).into())
}
