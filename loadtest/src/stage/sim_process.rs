//! A simulator process of the stage: started, asked, told.
//!
//! Owns the child; it ends with its standard input, and is killed when its handle is dropped.

use std::net::SocketAddr;
use std::path::Path;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::child::Child;
use super::{START_LIMIT, StageError, StageOptions, Usage};
use crate::client::{Client, ClientError};
use crate::simulator::credentials::write_private;
use crate::simulator::{
    Behaviour, BooksReport, Kind, LaunchKind, LaunchSpec, RECORD_BYTES, Record,
};

/// A simulator process.
pub struct SimProcess {
    /// Which provider.
    pub kind: Kind,
    /// Base URL of notifications.
    pub endpoint: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Base URL of its control listener.
    pub control: String,
    pub(super) child: Child,
}

impl SimProcess {
    /// Starts it with the stage's options and hears its addresses.
    pub(super) async fn start(
        options: &StageOptions,
        kind: Kind,
        credentials: &Path,
    ) -> Result<Self, StageError> {
        let launch_kind = match kind {
            Kind::Apns => LaunchKind::Apns,
            Kind::Fcm => LaunchKind::Fcm,
            Kind::Smtp => LaunchKind::Smtp,
        };
        let mut spec = LaunchSpec::new(launch_kind, credentials.to_owned());
        spec.tls = options.tls;
        spec.smtp = options.smtp.clone();
        spec.smtp.tls = options.smtp_tls();
        spec.behaviour = options.behaviour.clone();
        spec.max_streams = options.max_streams;
        spec.one_stream_until_authorized = options.one_stream_until_authorized;
        if !options.strict_token_updates {
            spec.token_update_interval = 0;
        }
        let file = options.folder.join(format!("{}.json", kind.name()));
        let text = serde_json::to_vec_pretty(&spec)
            .map_err(|error| StageError::Other(error.to_string()))?;
        write_private(&file, &text)?;
        let mut args = options.sim.args.clone();
        args.push(file.display().to_string());
        let log = options.folder.join(format!("{}.log", kind.name()));
        let (child, line) =
            Child::start(&options.sim.program, &args, &[], &log, START_LIMIT).await?;
        let told: Value = serde_json::from_str(&line).map_err(|error| {
            StageError::Other(format!("the {} simulator answered `{line}`: {error}", kind.name()))
        })?;
        let word = |name: &str| told[name].as_str().unwrap_or_default().to_owned();
        let endpoint = word("endpoint");
        let address = endpoint.split("://").nth(1).and_then(|address| address.parse().ok());
        let address = address.ok_or_else(|| {
            StageError::Other(format!("the {} simulator tells no address: `{line}`", kind.name()))
        })?;
        Ok(Self { kind, endpoint, address, control: word("control"), child })
    }

    /// Process id.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.pid()
    }

    /// Memory and CPU time so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.child.usage()
    }

    /// Its counts.
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn books(&self) -> Result<BooksReport, StageError> {
        let value = Client::new(&self.control, None)?.get("/books").await?;
        serde_json::from_value(value).map_err(|error| StageError::Other(format!("books: {error}")))
    }

    /// Every delivery it accepted: 52 bytes each on the wire, 64 in memory.
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn records(&self) -> Result<Vec<Record>, StageError> {
        let mut records = Vec::new();
        let mut rest: Vec<u8> = Vec::new();
        let mut client = Client::new(&self.control, None)?;
        client
            .stream("/arrivals", |data| {
                rest.extend_from_slice(data);
                let (whole, _) = rest.as_chunks::<RECORD_BYTES>();
                records.extend(whole.iter().map(Record::decode));
                let used = whole.len() * RECORD_BYTES;
                rest.drain(..used);
            })
            .await?;
        Ok(records)
    }

    /// SMTP: a mail it still keeps, by its Message-ID; none when it keeps no such.
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn mail(&self, message_id: &str) -> Result<Option<bytes::Bytes>, StageError> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("message_id", message_id)
            .finish();
        let mut client = Client::new(&self.control, None)?;
        let path = format!("/mails?{query}");
        match client.send(Method::GET, &path, None, bytes::Bytes::new()).await {
            Ok(mail) => Ok(Some(mail)),
            Err(ClientError::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// SMTP: the mails it still keeps of a recipient, the latest last, as text.
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn mails_of(&self, recipient: &str) -> Result<Vec<String>, StageError> {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("recipient", recipient)
            .finish();
        let list = Client::new(&self.control, None)?.get(&format!("/mails?{query}")).await?;
        let mails = list.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(mails.iter().filter_map(|mail| mail["raw"].as_str().map(str::to_owned)).collect())
    }

    /// Tells it something else.
    ///
    /// # Errors
    /// [`StageError::Client`] with its reason when the behaviour contradicts itself.
    pub async fn set_behaviour(&self, behaviour: &Behaviour) -> Result<(), StageError> {
        Client::new(&self.control, None)?.put("/behaviour", &json!(behaviour)).await?;
        Ok(())
    }

    /// `POST` to its control listener: `/reset`, `/goaway`, `/disconnect` or `/revoke`.
    ///
    /// # Errors
    /// [`StageError::Client`].
    pub async fn order(&self, path: &str) -> Result<(), StageError> {
        let mut client = Client::new(&self.control, None)?;
        client.send(Method::POST, path, None, bytes::Bytes::new()).await?;
        Ok(())
    }
}
