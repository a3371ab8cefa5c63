//! Simulators of APNs, FCM and an SMTP relay: real servers over real sockets that obey the providers' rules and keep
//! their own books.
//!
//! A [`Simulator`] owns its listeners, its connections and its books; dropping it drops all of them. It shares no code
//! with the engine it judges. What it is told to do wrong is a [`Behaviour`], changeable while it runs. Its books are in
//! memory: they are read over [`control`] (or in process) before it is stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use behaviour::{Behaviour, Failure, ResetReason};
pub use books::{Books, BooksReport, RECORD_BYTES, Record};
pub use credentials::Credentials;
pub use error::SimulatorError;
pub(crate) use launch::runtime;
pub use launch::{LaunchKind, LaunchSpec};
pub(crate) use process::stdin_closed;
pub use process::{ProcessKind, ProcessOptions, run_process};
pub use smtp::{
    Greylist, Mail, SmtpAccount, SmtpBehaviour, SmtpFailure, SmtpOptions, SmtpStage, SmtpTls,
};

mod any_object;
mod apns;
mod behaviour;
pub(crate) mod books;
pub mod clock;
pub mod control;
pub mod credentials;
mod error;
mod exchange;
mod fcm;
mod launch;
mod listener;
pub mod mix;
mod process;
mod provider_token;
mod refusal;
mod smtp;
pub mod tls;

use apns::ApnsRules;
use behaviour::Plan;
use exchange::{Rules, Shared};
use fcm::FcmRules;
use fcm::oauth::AccessTokens;
use listener::{Orders, Serving, accept_loop};
use provider_token::ProviderTokens;

/// Path of the OAuth token endpoint on the FCM simulator's address.
const TOKEN_PATH: &str = "/token";

/// Which provider is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Apple Push Notification service.
    Apns,
    /// Firebase Cloud Messaging, HTTP v1, with its OAuth token endpoint.
    Fcm,
    /// An SMTP relay.
    Smtp,
}

impl Kind {
    /// The name used in configurations and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Apns => "apns",
            Self::Fcm => "fcm",
            Self::Smtp => "smtp",
        }
    }
}

/// How a simulator is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which provider.
    pub kind: Kind,
    /// Where it listens; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Where its control listener is; port 0 takes a free one.
    pub control_bind: SocketAddr,
    /// TLS with the certificate of the credentials, or cleartext HTTP/2 with prior knowledge. SMTP: see `smtp.tls`.
    pub tls: bool,
    /// The secrets both sides use.
    pub credentials: Credentials,
    /// FCM: rewrite `service-account.json` in this folder with the token endpoint's address once it is known.
    pub credentials_folder: Option<PathBuf>,
    /// What it is told at the start.
    pub behaviour: Behaviour,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub max_concurrent_streams: u32,
    /// APNs: a stream opened while another is running is reset (REFUSED_STREAM) until this connection has sent one
    /// request with a valid provider token.
    pub one_stream_until_authorized: bool,
    /// APNs: a further new provider token within this time is refused (Apple: 20 minutes). Zero takes any number.
    pub token_update_interval: Duration,
    /// FCM: validity of the access tokens issued.
    pub access_token_lifetime: Duration,
    /// What only the SMTP simulator is told.
    pub smtp: SmtpOptions,
}

impl Options {
    /// A well-behaved simulator over TLS on free ports of 127.0.0.1.
    #[must_use]
    pub fn new(kind: Kind, credentials: Credentials) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            kind,
            bind: loopback,
            control_bind: loopback,
            tls: true,
            credentials,
            credentials_folder: None,
            behaviour: Behaviour::default(),
            max_concurrent_streams: 1_000,
            one_stream_until_authorized: false,
            token_update_interval: Duration::from_secs(20 * 60),
            access_token_lifetime: Duration::from_secs(3_600),
            smtp: SmtpOptions::default(),
        }
    }
}

/// Tells a running simulator what to do and reads its books; cheap to clone.
#[derive(Clone)]
pub(crate) struct Handle {
    kind: Kind,
    books: Arc<Books>,
    plan: watch::Sender<Arc<Plan>>,
    orders: watch::Sender<Orders>,
    provider_tokens: Option<Arc<ProviderTokens>>,
    access_tokens: Option<Arc<AccessTokens>>,
    smtp: Option<Arc<smtp::Shared>>,
}

impl Handle {
    fn books(&self) -> BooksReport {
        let mut report = self.books.report();
        if let Some(tokens) = &self.provider_tokens {
            report.tokens = u64::try_from(tokens.verified()).unwrap_or(u64::MAX);
        }
        if let Some(tokens) = &self.access_tokens {
            report.tokens = tokens.issued();
        }
        if let Some(smtp) = &self.smtp {
            report.tokens = smtp.logins.load(std::sync::atomic::Ordering::Relaxed);
        }
        report
    }

    fn behaviour(&self) -> Behaviour {
        self.plan.borrow().behaviour.clone()
    }

    fn set_behaviour(&self, behaviour: Behaviour) -> Result<(), SimulatorError> {
        let plan = Plan::new(self.kind, behaviour)?;
        self.plan.send_replace(Arc::new(plan));
        Ok(())
    }

    fn reset(&self) {
        self.books.reset();
        if let Some(smtp) = &self.smtp {
            smtp.reset();
        }
    }

    fn mails(&self, wanted: impl Fn(&Mail) -> bool) -> Vec<Mail> {
        self.smtp.as_ref().map(|smtp| smtp.mails.find(wanted)).unwrap_or_default()
    }

    fn goaway(&self) {
        self.orders.send_modify(|orders| orders.goaway += 1);
    }

    fn disconnect(&self) {
        self.orders.send_modify(|orders| orders.disconnect += 1);
    }

    fn revoke_access_tokens(&self) {
        if let Some(tokens) = &self.access_tokens {
            tokens.revoke_all();
        }
    }
}

/// A running simulator. Dropping it ends it at once.
pub struct Simulator {
    handle: Handle,
    credentials: Credentials,
    address: SocketAddr,
    control: SocketAddr,
    scheme: &'static str,
    tasks: [JoinHandle<()>; 2],
}

impl Simulator {
    /// Binds both listeners and starts serving on the current tokio runtime.
    ///
    /// # Errors
    /// [`SimulatorError`]: an address in use, a contradictory behaviour, unusable credentials.
    pub async fn start(mut options: Options) -> Result<Self, SimulatorError> {
        let plan = Plan::new(options.kind, options.behaviour.clone())?;
        let listener = bind(options.bind).await?;
        let control = bind(options.control_bind).await?;
        let address = local(&listener)?;
        let control_address = local(&control)?;
        let scheme = scheme(&options);
        if options.kind == Kind::Fcm {
            let account = &mut options.credentials.service_account;
            account.token_uri = format!("{scheme}://{address}{TOKEN_PATH}");
            if let Some(folder) = &options.credentials_folder {
                options.credentials.write_service_account(folder)?;
            }
        }
        let mut handle = Handle {
            kind: options.kind,
            books: Arc::new(Books::new(options.kind)),
            plan: watch::Sender::new(Arc::new(plan)),
            orders: watch::Sender::new(Orders::default()),
            provider_tokens: None,
            access_tokens: None,
            smtp: None,
        };
        let serving = match options.kind {
            Kind::Apns => {
                let rules = apns_rules(&options, &mut handle)?;
                serve_push(&options, listener, &handle, rules)?
            }
            Kind::Fcm => {
                let rules = fcm_rules(&options, &mut handle)?;
                serve_push(&options, listener, &handle, rules)?
            }
            Kind::Smtp => serve_smtp(&options, listener, &mut handle)?,
        };
        let tasks = [serving, tokio::spawn(control::control_loop(control, handle.clone()))];
        Ok(Self {
            handle,
            credentials: options.credentials,
            address,
            control: control_address,
            scheme,
            tasks,
        })
    }

    /// Where notifications are taken.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the control listener is.
    #[must_use]
    pub const fn control_address(&self) -> SocketAddr {
        self.control
    }

    /// Base URL for a route's `endpoint`. SMTP: `smtp://host:port`, or `smtps` with TLS from the first byte.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// SMTP: the mails taken and still kept that satisfy `wanted`, the latest last.
    #[must_use]
    pub fn mails(&self, wanted: impl Fn(&Mail) -> bool) -> Vec<Mail> {
        self.handle.mails(wanted)
    }

    /// FCM: the OAuth token endpoint.
    #[must_use]
    pub fn token_uri(&self) -> Option<String> {
        (self.handle.kind == Kind::Fcm).then(|| self.credentials.service_account.token_uri.clone())
    }

    /// The secrets in use, with the token endpoint's real address.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The counts so far.
    #[must_use]
    pub fn books(&self) -> BooksReport {
        self.handle.books()
    }

    /// Every delivery accepted so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.handle.books.records()
    }

    /// Tells the simulator something else, from the next request on.
    ///
    /// # Errors
    /// [`SimulatorError::Behaviour`] when it contradicts itself; nothing changes then.
    pub fn set_behaviour(&self, behaviour: Behaviour) -> Result<(), SimulatorError> {
        self.handle.set_behaviour(behaviour)
    }

    /// Forgets all counts and deliveries.
    pub fn reset(&self) {
        self.handle.reset();
    }

    /// Sends GOAWAY (SMTP: 421) on every open connection; running requests are still answered.
    pub fn goaway(&self) {
        self.handle.goaway();
    }

    /// Drops every open connection, running requests with it.
    pub fn disconnect(&self) {
        self.handle.disconnect();
    }

    /// FCM: forgets every access token issued.
    pub fn revoke_access_tokens(&self) {
        self.handle.revoke_access_tokens();
    }

    /// Ends listeners and connections, and returns the final counts.
    pub async fn shutdown(mut self) -> BooksReport {
        for task in &mut self.tasks {
            task.abort();
            // Cancelled on purpose; a panic in it was already reported by the runtime.
            let _ = task.await;
        }
        self.handle.books()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn scheme(options: &Options) -> &'static str {
    match (options.kind, options.tls) {
        (Kind::Smtp, _) if options.smtp.tls == SmtpTls::Implicit => "smtps",
        (Kind::Smtp, _) => "smtp",
        (Kind::Apns | Kind::Fcm, true) => "https",
        (Kind::Apns | Kind::Fcm, false) => "http",
    }
}

fn serve_push(
    options: &Options,
    listener: TcpListener,
    handle: &Handle,
    rules: Box<dyn Rules>,
) -> Result<JoinHandle<()>, SimulatorError> {
    let shared = Arc::new(Shared {
        rules,
        books: Arc::clone(&handle.books),
        plan: handle.plan.clone(),
        one_stream_until_authorized: options.kind == Kind::Apns
            && options.one_stream_until_authorized,
    });
    let acceptor = options.tls.then(|| tls::acceptor(&options.credentials, options.kind));
    let serving = Serving {
        tls: acceptor.transpose()?,
        max_concurrent_streams: options.max_concurrent_streams,
        allow_http1: options.kind == Kind::Fcm,
    };
    let (books, plan) = (Arc::clone(&handle.books), handle.plan.subscribe());
    let orders = handle.orders.subscribe();
    let serve = move |stream| {
        listener::connection(stream, serving.clone(), Arc::clone(&shared), orders.clone())
    };
    Ok(tokio::spawn(accept_loop(listener, books, plan, serve)))
}

fn serve_smtp(
    options: &Options,
    listener: TcpListener,
    handle: &mut Handle,
) -> Result<JoinHandle<()>, SimulatorError> {
    let acceptor = tls::acceptor(&options.credentials, options.kind)?;
    let books = Arc::clone(&handle.books);
    let shared = smtp::Shared::new(options.smtp.clone(), acceptor, books, handle.plan.clone());
    let shared = Arc::new(shared);
    handle.smtp = Some(Arc::clone(&shared));
    let (books, plan) = (Arc::clone(&handle.books), handle.plan.subscribe());
    let orders = handle.orders.subscribe();
    let serve = move |stream| smtp::connection(stream, Arc::clone(&shared), orders.clone());
    Ok(tokio::spawn(accept_loop(listener, books, plan, serve)))
}

fn apns_rules(options: &Options, handle: &mut Handle) -> Result<Box<dyn Rules>, SimulatorError> {
    let credentials = &options.credentials;
    let tokens = Arc::new(ProviderTokens::new(credentials, options.token_update_interval)?);
    handle.provider_tokens = Some(Arc::clone(&tokens));
    Ok(Box::new(ApnsRules { topic: credentials.apns.topic.clone(), tokens }))
}

fn fcm_rules(options: &Options, handle: &mut Handle) -> Result<Box<dyn Rules>, SimulatorError> {
    let credentials = &options.credentials;
    let tokens = Arc::new(AccessTokens::new(credentials, options.access_token_lifetime)?);
    handle.access_tokens = Some(Arc::clone(&tokens));
    let project_id = credentials.service_account.project_id.clone();
    Ok(Box::new(FcmRules {
        path: format!("/v1/projects/{project_id}/messages:send"),
        project_id,
        token_path: TOKEN_PATH.to_owned(),
        tokens,
    }))
}

async fn bind(address: SocketAddr) -> Result<TcpListener, SimulatorError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| SimulatorError::Bind { address: address.to_string(), source })
}

fn local(listener: &TcpListener) -> Result<SocketAddr, SimulatorError> {
    listener.local_addr().map_err(SimulatorError::Start)
}
