//! Who holds which slot, and asking for it.

use futures_util::future::select_ok;
use redis::{ConnectionInfo, Value};
use std::sync::Arc;

use super::Manner;
use super::connection::{Connection, send};
use super::node::Node;
use crate::store::redis::key::SLOTS;

/// A range of slots (both ends included) and the address of its master.
pub(super) type Range = (u16, u16, String);

/// Who holds which slot.
#[derive(Default)]
pub(super) struct Topology {
    nodes: Vec<Arc<Node>>,
    /// The place of each slot's node, and one more; 0: nobody holds it.
    slots: Vec<u16>,
}

impl Topology {
    pub(super) fn new(ranges: &[(u16, u16, Arc<Node>)]) -> Self {
        let mut topology = Self { nodes: Vec::new(), slots: vec![0; usize::from(SLOTS)] };
        for (first, last, node) in ranges {
            let known = topology.nodes.iter().position(|one| Arc::ptr_eq(one, node));
            let place = known.unwrap_or_else(|| {
                topology.nodes.push(Arc::clone(node));
                topology.nodes.len() - 1
            });
            let number = u16::try_from(place + 1).unwrap_or(0);
            let (first, last) = (usize::from(*first), usize::from((*last).min(SLOTS - 1)));
            if first <= last {
                topology.slots[first..=last].fill(number);
            }
        }
        topology
    }

    /// The node that holds `slot`.
    pub(super) fn node(&self, slot: u16) -> Option<Arc<Node>> {
        let place = self.slots.get(usize::from(slot))?.checked_sub(1)?;
        self.nodes.get(usize::from(place)).map(Arc::clone)
    }
}

/// Servers asked at once.
const ASKED: usize = 8;

/// Asks some of `servers` at once; the first good answer counts.
///
/// # Errors
/// What the last of them said, as text.
async fn ask_any<T>(
    servers: &[ConnectionInfo],
    command: &redis::Cmd,
    manner: &Manner,
    read: impl Fn(&ConnectionInfo, Value) -> Option<T>,
) -> Result<T, String> {
    let mut pipeline = redis::pipe();
    pipeline.add_command(command.clone());
    let (pipeline, read) = (&pipeline, &read);
    let one = |server: &ConnectionInfo| {
        let server = server.clone();
        let asked = async move {
            let mut open = Connection::new(server.clone(), manner).bare().await?;
            match send(&mut open, pipeline).await?.into_iter().next() {
                Some(Value::ServerError(error)) => Err(format!("it answered {}", error.code())),
                Some(value) => read(&server, value)
                    .ok_or_else(|| format!("{} knows nothing of it", server.addr())),
                None => Err("its answer is empty".to_owned()),
            }
        };
        Box::pin(asked)
    };
    // Others each time: some of them may be gone.
    let begin = rand::random_range(0..servers.len().max(1));
    let some = servers.iter().cycle().skip(begin).take(servers.len().min(ASKED));
    let asked: Vec<_> = some.map(one).collect();
    if asked.is_empty() {
        return Err("there is none".to_owned());
    }
    select_ok(asked).await.map(|(found, _)| found)
}

/// Asks a Cluster who holds what.
pub(super) async fn ask_cluster(
    servers: &[ConnectionInfo],
    manner: &Manner,
) -> Result<Vec<Range>, String> {
    let mut slots = redis::cmd("CLUSTER");
    slots.arg("SLOTS");
    ask_any(servers, &slots, manner, |server, value| {
        let ranges = read_slots(server, value)?;
        (!ranges.is_empty()).then_some(ranges)
    })
    .await
}

/// Asks sentinels for the address of the master called `name`.
pub(super) async fn ask_sentinels(
    sentinels: &[ConnectionInfo],
    name: &str,
    manner: &Manner,
) -> Result<String, String> {
    let mut master = redis::cmd("SENTINEL");
    master.arg("get-master-addr-by-name").arg(name);
    ask_any(sentinels, &master, manner, |_, value| {
        let Value::Array(parts) = value else { return None };
        let parts: Vec<String> = parts.iter().filter_map(text).collect();
        let [host, port] = parts.as_slice() else { return None };
        Some(format!("{host}:{port}"))
    })
    .await
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        Value::Int(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Reads `CLUSTER SLOTS`: first, last, (host, port, …) of the master, then the
/// replicas. An empty host is the one that was asked.
fn read_slots(server: &ConnectionInfo, value: Value) -> Option<Vec<Range>> {
    let Value::Array(rows) = value else { return None };
    let number = |value: &Value| match value {
        Value::Int(number) => u16::try_from(*number).ok(),
        _ => None,
    };
    let mut ranges = Vec::with_capacity(rows.len());
    for row in rows {
        let Value::Array(row) = row else { return None };
        let [first, last, Value::Array(master), ..] = row.as_slice() else { return None };
        let host = master.first().and_then(text).filter(|host| !host.is_empty() && host != "?");
        let asked = server.addr().to_string();
        let host = host.unwrap_or_else(|| {
            asked.rsplit_once(':').map_or(asked.clone(), |(host, _)| host.to_owned())
        });
        let port = master.get(1).and_then(text)?;
        ranges.push((number(first)?, number(last)?, format!("{host}:{port}")));
    }
    Some(ranges)
}

#[cfg(test)]
mod tests {
    use super::{Value, read_slots};
    use redis::IntoConnectionInfo;

    #[test]
    fn slots_are_read_and_an_unnamed_host_is_the_one_asked() {
        let master =
            |host: &str, port| Value::Array(vec![Value::BulkString(host.into()), Value::Int(port)]);
        let row =
            |first, last, master| Value::Array(vec![Value::Int(first), Value::Int(last), master]);
        let asked = "redis://10.0.0.9:7000".into_connection_info().unwrap();
        let answer = Value::Array(vec![
            row(0, 5_460, master("10.0.0.1", 7_001)),
            row(5_461, 16_383, master("", 7_002)),
        ]);
        let expected = vec![
            (0, 5_460, "10.0.0.1:7001".to_owned()),
            (5_461, 16_383, "10.0.0.9:7002".to_owned()),
        ];
        assert_eq!(read_slots(&asked, answer), Some(expected));
        assert_eq!(read_slots(&asked, Value::Array(vec![Value::Int(1)])), None);
    }
}
