//! One connection to one server: made when needed, dropped when it failed, made
//! again after a pause that grows.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline,
    ProtocolVersion, RedisError, Value,
};
use std::time::Duration;
use tokio::time::Instant;

use super::{Manner, Run};
use crate::store::redis::options::OpenError;
use crate::store::redis::script;

/// Requests handed to the connection's task and not yet written.
const BUFFER: usize = 256;
/// Pauses between attempts to connect.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// Reads an address as given by the configuration. TCP_NODELAY on: off, as the
/// crate has it, it costs 40 ms whenever two small packets follow each other.
/// RESP2, whatever the URL asks for: answers are read as that has them.
pub(super) fn read_url(url: &str) -> Result<ConnectionInfo, OpenError> {
    let read = url.into_connection_info();
    // Neither the URL nor what was wrong with it: it may hold a password.
    let info = read.map_err(|_| {
        OpenError::Address("it must be redis://[user:password@]host:port or rediss://…".to_owned())
    })?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP2);
    let info = info.set_redis_settings(settings);
    Ok(info.set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// The server at `address` (`host:port`), reached like `model`.
pub(super) fn at(model: &ConnectionInfo, address: &str) -> ConnectionInfo {
    let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
    let (host, port) = (host.to_owned(), port.parse().unwrap_or(6_379));
    let address = match model.addr() {
        ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
            host,
            port,
            insecure: *insecure,
            tls_params: tls_params.clone(),
        },
        _ => ConnectionAddr::Tcp(host, port),
    };
    model.clone().set_addr(address)
}

/// A connection that is open.
#[derive(Clone)]
pub(super) struct Open {
    pub(super) way: MultiplexedConnection,
    /// Which connection it is: they fail one by one.
    pub(super) number: u64,
    /// Who answers.
    pub(super) run: Run,
}

/// See the module's text.
pub(super) struct Connection {
    info: ConnectionInfo,
    connected_within: Duration,
    tried_within: Duration,
    open: Option<Open>,
    number: u64,
    /// How often it could not be made since it was last open.
    failures: u32,
    not_before: Option<Instant>,
    reason: String,
}

impl Connection {
    pub(super) fn new(info: ConnectionInfo, manner: &Manner) -> Self {
        Self {
            info,
            connected_within: manner.answered_within / 2,
            tried_within: manner.tried_within,
            open: None,
            number: 0,
            failures: 0,
            not_before: None,
            reason: String::new(),
        }
    }

    /// An open connection.
    ///
    /// # Errors
    /// Why there is none, as text.
    pub(super) async fn open(&mut self) -> Result<Open, String> {
        if let Some(open) = &self.open {
            return Ok(open.clone());
        }
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(self.reason.clone());
        }
        match self.connect().await {
            Ok((way, run)) => {
                self.failures = 0;
                self.not_before = None;
                self.number += 1;
                let open = Open { way, number: self.number, run };
                self.open = Some(open.clone());
                Ok(open)
            }
            Err(reason) => {
                self.reason = reason;
                let pause = SHORTEST_PAUSE * 2_u32.saturating_pow(self.failures.min(8));
                self.failures += 1;
                self.not_before = Some(Instant::now() + pause.min(LONGEST_PAUSE));
                Err(self.reason.clone())
            }
        }
    }

    /// A connection for one question, without the scripts.
    ///
    /// # Errors
    /// Why there is none, as text.
    pub(super) async fn bare(&self) -> Result<MultiplexedConnection, String> {
        self.plain().await.map_err(|error| told(&error))
    }

    async fn connect(&self) -> Result<(MultiplexedConnection, Run), String> {
        let mut open = self.bare().await?;
        let mut begin = redis::pipe();
        begin.cmd("INFO").arg("server");
        for one in script::load_all() {
            begin.add_command(one);
        }
        begin.cmd("ROLE");
        let mut answers = send(&mut open, &begin).await?.into_iter();
        // A server may refuse to tell.
        let run = answers.next().and_then(read_run).unwrap_or(0);
        let answers = answers.as_slice();
        for answer in answers {
            if let Value::ServerError(error) = answer {
                return Err(format!("it answered {}", error.code()));
            }
        }
        if is_master(answers.last()) {
            Ok((open, run))
        } else {
            Err("it is not a master".to_owned())
        }
    }

    async fn plain(&self) -> Result<MultiplexedConnection, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connected_within))
            .set_response_timeout(Some(self.tried_within))
            .set_pipeline_buffer_size(BUFFER);
        let client = Client::open(self.info.clone())?;
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    /// Drops connection `number`: the next request makes another.
    pub(super) fn drop_open(&mut self, number: u64) {
        if self.number == number {
            self.open = None;
        }
    }
}

/// Reads `run_id` in what `INFO` answered: 40 hexadecimal digits, of which the
/// first 32 are enough.
fn read_run(answer: Value) -> Option<Run> {
    let Value::BulkString(text) = answer else { return None };
    let text = std::str::from_utf8(&text).ok()?;
    let run = text.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    Run::from_str_radix(run.get(..32)?, 16).ok()
}

/// Whether a server that answered `ROLE` like this is a master.
pub(super) fn is_master(answer: Option<&Value>) -> bool {
    let Some(Value::Array(role)) = answer else { return false };
    matches!(role.first(), Some(Value::BulkString(name)) if name == b"master")
}

/// Sends a pipeline and waits for its answers, errors of single commands among
/// them.
///
/// # Errors
/// Why there are none, as text; it may have arrived.
pub(super) async fn send(
    open: &mut MultiplexedConnection,
    pipeline: &Pipeline,
) -> Result<Vec<Value>, String> {
    let sent = open.req_packed_commands(pipeline, 0, pipeline.len()).await;
    sent.map_err(|error| told(&error))
}

/// An error of the connection in a few words. What a server answered is told
/// by its code alone: the rest may repeat what was sent.
pub(super) fn told(error: &RedisError) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    if error.is_connection_refusal() {
        return "the connection is refused".to_owned();
    }
    match error.code() {
        Some(code) => format!("it answered {code}"),
        None => error.category().to_owned(),
    }
}
