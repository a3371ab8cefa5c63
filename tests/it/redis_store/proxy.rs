//! A way to Redis that can lose an answer: the request goes through, then the
//! connection is cut before its answer comes back; and that can be slow.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use araldo::store::redis::Servers;

/// See the module's text. Ends with this value.
pub struct Proxy {
    port: u16,
    /// Answers still to be lost.
    losses: Arc<AtomicU32>,
    lost: Arc<AtomicU32>,
    /// Milliseconds that each answer takes longer.
    delay: Arc<AtomicU32>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// A way to the server on `port`.
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let own_port = listener.local_addr().unwrap().port();
        let (losses, lost) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let mut task = JoinSet::new();
        let delay = Arc::new(AtomicU32::new(0));
        let counters = (Arc::clone(&losses), Arc::clone(&lost), Arc::clone(&delay));
        task.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                client.set_nodelay(true).unwrap();
                server.set_nodelay(true).unwrap();
                connections.spawn(pass(client, server, counters.clone()));
            }
        });
        Self { port: own_port, losses, lost, delay, _task: task }
    }

    pub fn servers(&self) -> Servers {
        Servers::Single(format!("redis://127.0.0.1:{}", self.port))
    }

    /// The next `count` answers are lost, each with its connection.
    pub fn lose(&self, count: u32) {
        self.losses.store(count, Ordering::SeqCst);
    }

    /// Every answer takes so much longer from now on.
    pub fn slow(&self, by: Duration) {
        self.delay.store(by.as_millis() as u32, Ordering::SeqCst);
    }

    /// How many answers were lost so far.
    pub fn lost(&self) -> u32 {
        self.lost.load(Ordering::SeqCst)
    }
}

async fn pass(
    client: TcpStream,
    server: TcpStream,
    (losses, lost, delay): (Arc<AtomicU32>, Arc<AtomicU32>, Arc<AtomicU32>),
) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let requests = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            if to_server.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    let answers = async {
        let mut buffer = vec![0; 1 << 16];
        while let Ok(read @ 1..) = from_server.read(&mut buffer).await {
            let take = |left: u32| left.checked_sub(1);
            if losses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
                lost.fetch_add(1, Ordering::SeqCst);
                break;
            }
            tokio::time::sleep(Duration::from_millis(delay.load(Ordering::SeqCst).into())).await;
            if to_client.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
    };
    // Whichever ends first: both connections are closed.
    tokio::select! { () = requests => {}, () = answers => {} }
}
