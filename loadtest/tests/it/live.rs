//! Live citizens against a server that breaks off: nothing may be missed, and what the server repeats must be found.

use std::net::SocketAddr;
use std::time::Duration;

use araldo_loadtest::live::LiveCrowd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

fn ulid(number: u128) -> String {
    ulid::Ulid::from(number).to_string()
}

fn message(number: u128) -> String {
    format!("event: message\nid: {number}\ndata: {{\"id\":\"{}\"}}\n\n", ulid(number))
}

fn items(numbers: std::ops::Range<u128>) -> String {
    let items: Vec<_> = numbers.map(|number| format!("{{\"id\":\"{}\"}}", ulid(number))).collect();
    items.join(",")
}

/// What the server says to a request, by what the client has seen. The third connection is told `reset`; its list has two
/// pages.
fn answer(head: &str) -> String {
    let stream = |events: String| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{events}"
        )
    };
    let json = |body: String| {
        format!(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert!(head.contains("authorization: Bearer token-"), "{head}");
    if head.starts_with("GET /api/communication/v1/messages?") {
        return json(match () {
            () if head.contains("archived=true") => "{\"items\":[]}".to_owned(),
            () if head.contains("maximum_id=") => format!("{{\"items\":[{}]}}", items(1..4)),
            () => format!("{{\"items\":[{}],\"next\":\"{}\"}}", items(4..6), ulid(4)),
        });
    }
    let place = head.lines().find_map(|line| line.strip_prefix("last-event-id: "));
    match place {
        None => {
            let cut = &message(2)[..30];
            stream(format!("event: ready\nid: 0\ndata: {{}}\n\n{}{cut}", message(1)))
        }
        Some("1") => stream(message(2) + &message(3)),
        Some("3") => stream("event: reset\nid: 5\ndata: {\"reason\":\"too old\"}\n\n".to_owned()),
        Some("5") => {
            stream(": alive\n\n".to_owned() + &message(6) + "event: status\nid: 7\ndata: {}\n\n")
        }
        _ => "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n"
            .to_owned(),
    }
}

async fn serve(listener: TcpListener) {
    let mut connections = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0 {}
            let _ = stream.write_all(answer(&String::from_utf8_lossy(&head)).as_bytes()).await;
            // Time for a list to be read while the stream is open.
            tokio::time::sleep(Duration::from_millis(300)).await;
        });
    }
}

async fn server() -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(listener));
    (address, tasks)
}

#[tokio::test]
async fn sessions_go_on_where_they_were_and_end_with_exactly_their_messages() {
    let (address, _server) = server().await;
    let tokens = (0..20).map(|number| format!("token-{number}")).collect();
    let crowd = LiveCrowd::start(&format!("http://{address}"), tokens).unwrap();
    (0..20).for_each(|index| crowd.expect(index, 1..7));
    assert!(crowd.wait_ready(Duration::from_secs(10)).await);
    assert!(crowd.wait_complete(Duration::from_secs(30)).await, "{:?}", crowd.report());
    let report = crowd.report();
    assert!(report.is_exact(), "{report:?}");
    assert_eq!((report.sessions, report.ready, report.resets, report.lists), (20, 20, 20, 20));
    assert!(report.reconnects >= 60 && report.events == 80, "{report:?}");
    let seen: Vec<u128> = crowd.arrivals(3).iter().map(|arrival| arrival.message).collect();
    assert_eq!(seen, [1, 2, 3, 6]);
    crowd.expect(0, [99]);
    assert_eq!(crowd.report().missing, 1);
}
