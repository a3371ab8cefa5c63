//! The SMTP simulator over real sockets: the rules, the books, what it is told to do wrong.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use araldo_loadtest::simulator::{
    Behaviour, Greylist, Kind, Simulator, SmtpAccount, SmtpBehaviour, SmtpFailure, SmtpStage,
    SmtpTls,
};
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::client::{ULID, control, simulator, uuid};
use crate::smtp_client::{Client, mail};

const ANNA: &str = "anna@posta.example";
const BRUNO: &str = "bruno@posta.example";

async fn relay() -> Simulator {
    simulator(Kind::Smtp, |options| options.smtp.tls = SmtpTls::None).await
}

async fn told(failures: Vec<SmtpFailure>) -> Simulator {
    let simulator = relay().await;
    tell(&simulator, SmtpBehaviour { failures, ..SmtpBehaviour::default() });
    simulator
}

fn tell(simulator: &Simulator, smtp: SmtpBehaviour) {
    simulator.set_behaviour(Behaviour { smtp, ..Behaviour::default() }).unwrap();
}

#[tokio::test]
async fn a_pipelined_mail_is_taken_booked_and_kept_as_it_came() {
    let simulator = relay().await;
    let mut client = Client::greeted(&simulator).await;
    let sent = mail(7, "..una riga con un punto\r\n");
    let group = format!("MAIL FROM:<no-reply@araldo.example>\r\nRCPT TO:<{ANNA}>\r\nDATA\r\n");
    client.write(&group).await;
    assert_eq!(client.codes(3).await, [250, 250, 354]);
    client.write(&format!("{sent}.\r\n")).await;
    assert_eq!(client.code().await, 250);
    assert_eq!(client.send(7, ANNA).await, 250, "the same once more");
    assert_eq!(client.ask("QUIT\r\n").await, 221);
    let books = simulator.books();
    assert_eq!((books.accepted, books.unique_deliveries, books.duplicates), (2, 1, 1));
    assert_eq!((books.requests, books.recipients, books.refused), (2, 2, 0));
    let record = simulator.records()[0];
    assert_eq!((record.delivery, record.accepted), (7, 2));
    assert_eq!(ulid::Ulid::from(record.message).to_string(), ULID);
    let id = format!("{}@araldo.example", uuid(7));
    let first = simulator.mails(|mail| mail.message_id.contains(&id)).remove(0);
    assert_eq!(first.recipients, [ANNA]);
    assert_eq!(String::from_utf8_lossy(&first.raw), sent.replace("\r\n..", "\r\n."));
    let raw = control(&simulator, "GET", &format!("/mails?message_id={id}"), "").await;
    assert_eq!(raw.headers["content-type"], "message/rfc822");
    let list = control(&simulator, "GET", "/mails?recipient=Anna@posta.example", "").await.json();
    assert_eq!(list.as_array().unwrap().len(), 2);
    assert_eq!(list[1]["raw"].as_str().unwrap().as_bytes(), &raw.body[..]);
    assert_eq!(control(&simulator, "GET", "/mails?message_id=x", "").await.status, 404);
    assert_eq!(control(&simulator, "GET", "/mails", "").await.status, 400);
}

#[tokio::test]
async fn one_refused_recipient_of_many_leaves_the_others_and_the_session() {
    let mut refused = SmtpFailure::always(SmtpStage::Rcpt, "550 5.1.1 No such user");
    refused.recipient = Some("bruno@*".to_owned());
    let simulator = told(vec![refused]).await;
    let mut client = Client::greeted(&simulator).await;
    let group = format!(
        "MAIL FROM:<no-reply@araldo.example>\r\nRCPT TO:<{ANNA}>\r\nRCPT TO:<{BRUNO}>\r\nDATA\r\n"
    );
    client.write(&group).await;
    assert_eq!(client.codes(4).await, [250, 250, 550, 354]);
    client.write(&format!("{}.\r\n", mail(1, ""))).await;
    assert_eq!(client.code().await, 250);
    assert_eq!(simulator.mails(|_| true)[0].recipients, [ANNA]);
    // Nobody left: no content is asked for, and after RSET the session goes on.
    client.write(&format!("MAIL FROM:<>\r\nRCPT TO:<{BRUNO}>\r\nDATA\r\n")).await;
    assert_eq!(client.codes(3).await, [250, 550, 554]);
    assert_eq!(client.ask("RSET\r\n").await, 250);
    assert_eq!(client.send(2, ANNA).await, 250);
    let books = simulator.books();
    assert_eq!(books.refused_by_reason["rcpt 550 5.1.1"], 2);
    assert_eq!((books.unique_deliveries, books.connections_opened), (2, 1));
}

#[tokio::test]
async fn every_stage_can_refuse_for_now_and_for_good() {
    for (at, reply, position) in [
        (SmtpStage::Mail, "451 4.3.0 Later", 0),
        (SmtpStage::Mail, "553 5.7.1 Not from you", 0),
        (SmtpStage::Rcpt, "450 4.2.1 Busy", 1),
        (SmtpStage::Data, "451 4.3.0", 2),
        (SmtpStage::Data, "554 5.7.1", 2),
        (SmtpStage::End, "452 4.3.1 Disk full", 3),
        (SmtpStage::End, "554 5.6.0", 3),
    ] {
        let mut failure = SmtpFailure::always(at, reply);
        failure.first_attempts = Some(1);
        let simulator = told(vec![failure]).await;
        let mut client = Client::greeted(&simulator).await;
        let codes = client.codes_of(3, ANNA).await;
        assert_eq!(codes.len(), position + 1, "{reply}: {codes:?}");
        assert_eq!(codes.last().unwrap().to_string(), reply[..3]);
        client.ask("RSET\r\n").await;
        assert_eq!(client.send(3, ANNA).await, 250, "the second attempt");
        let books = simulator.books();
        assert_eq!((books.accepted, books.refused), (1, 1), "{:?}", books.refused_by_reason);
    }
}

#[tokio::test]
async fn a_421_and_a_close_end_the_session_at_every_stage() {
    for (at, reply) in [
        (SmtpStage::Connect, "421 4.3.2"),
        (SmtpStage::Connect, "close"),
        (SmtpStage::Mail, "421 4.3.2"),
        (SmtpStage::Rcpt, "421 4.7.0"),
        (SmtpStage::Data, "close"),
        (SmtpStage::Body, "close"),
        (SmtpStage::End, "421 4.3.0"),
        (SmtpStage::End, "close"),
    ] {
        let simulator = told(vec![SmtpFailure::always(at, reply)]).await;
        let mut client = Client::connect(&simulator).await;
        let mut codes = vec![client.read_code().await];
        if codes[0] == Some(220) {
            client.ask("EHLO araldo.example\r\n").await;
            codes.extend(client.codes_of(3, ANNA).await.into_iter().map(Some));
        }
        let last = *codes.iter().flatten().last().unwrap_or(&0);
        assert_eq!(last == 421, reply.starts_with("421"), "{at:?} {reply}: {codes:?}");
        assert_eq!(client.read_code().await, None, "{at:?} {reply}: still open");
        assert_eq!(simulator.books().accepted, 0);
    }
}

#[tokio::test]
async fn an_answer_that_is_lost_leaves_the_mail_taken_and_a_repetition_is_a_duplicate() {
    let simulator = relay().await;
    let lost = Behaviour { lost_answer_share: 1.0, ..Behaviour::default() };
    simulator.set_behaviour(lost).unwrap();
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.codes_of(9, ANNA).await, [250, 250, 354]);
    simulator.set_behaviour(Behaviour::default()).unwrap();
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.send(9, ANNA).await, 250);
    let books = simulator.books();
    assert_eq!((books.lost_answers, books.unique_deliveries, books.duplicates), (1, 1, 1));
}

#[tokio::test]
async fn greylisting_puts_off_once_and_slowness_is_slow() {
    let simulator = relay().await;
    let greylist = Some(Greylist { seconds: 0, attempts: None });
    tell(&simulator, SmtpBehaviour { greylist, ..SmtpBehaviour::default() });
    let mut client = Client::greeted(&simulator).await;
    for expected in [451, 250, 250] {
        let codes = client.codes_of(1, ANNA).await;
        assert!(codes.contains(&expected), "{codes:?}");
        client.ask("RSET\r\n").await;
    }
    assert_eq!(simulator.books().refused_by_reason["rcpt 451 4.7.1"], 1);
    simulator.set_behaviour(Behaviour { latency_ms: 120, ..Behaviour::default() }).unwrap();
    let start = Instant::now();
    assert_eq!(client.send(2, BRUNO).await, 250);
    assert!(start.elapsed() >= Duration::from_millis(120));
}

#[tokio::test]
async fn the_rules_of_the_protocol_are_kept() {
    let simulator = relay().await;
    let mut client = Client::connect(&simulator).await;
    assert_eq!(client.code().await, 220);
    for (command, code) in [
        ("MAIL FROM:<a@araldo.example>\r\n", 503),
        ("NONSENSE\r\n", 500),
        ("EHLO araldo.example\r\n", 250),
        ("RCPT TO:<a@posta.example>\r\n", 503),
        ("DATA\r\n", 503),
        ("STARTTLS\r\n", 502),
        ("MAIL FROM:<a@araldo.example> SIZE=99999999\r\n", 552),
        ("MAIL FROM:<a@araldo.example>\r\n", 250),
        ("MAIL FROM:<a@araldo.example>\r\n", 503),
    ] {
        assert_eq!(client.ask(command).await, code, "{command}");
    }
    client.write("RCPT TO:<a@posta.example>\r\nDATA\r\nthis comes too early\r\n").await;
    assert_eq!(client.codes(2).await, [250, 554]);
    assert_eq!(client.read_code().await, None);
    let mut client = Client::greeted(&simulator).await;
    for (content, code) in [("perché\r\n", 554), ("a\nb\r\n", 550), (&"x".repeat(1_000), 550)] {
        client.codes_until_data(ANNA).await;
        client.write(&format!("{}\r\n.\r\n", mail(1, content))).await;
        assert_eq!(client.code().await, code);
    }
    let books = simulator.books();
    assert_eq!((books.accepted, books.refused_by_reason["sync 554 5.5.0"]), (0, 1));
}

#[tokio::test]
async fn without_pipelining_a_client_that_pipelines_is_thrown_out() {
    let simulator = simulator(Kind::Smtp, |options| {
        options.smtp.tls = SmtpTls::None;
        options.smtp.pipelining = false;
    })
    .await;
    let mut client = Client::greeted(&simulator).await;
    assert_eq!(client.send(1, ANNA).await, 250);
    client.write("MAIL FROM:<a@araldo.example>\r\nRCPT TO:<a@posta.example>\r\n").await;
    assert_eq!(client.code().await, 554);
    assert_eq!(client.read_code().await, None);
}

#[tokio::test]
async fn tls_comes_first_and_the_password_after_it() {
    for tls in [SmtpTls::Starttls, SmtpTls::Implicit] {
        let simulator = simulator(Kind::Smtp, |options| {
            options.smtp.tls = tls;
            options.smtp.account =
                Some(SmtpAccount { username: "araldo".to_owned(), password: "segreto".to_owned() });
        })
        .await;
        let config =
            araldo_loadtest::simulator::tls::client_config(&simulator.credentials().ca_pem);
        let mut config = config.unwrap();
        config.alpn_protocols.clear();
        let connector = TlsConnector::from(Arc::new(config));
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut client = if tls == SmtpTls::Starttls {
            let mut client = Client::greeted(&simulator).await;
            assert_eq!(client.ask("MAIL FROM:<a@araldo.example>\r\n").await, 530);
            assert_eq!(client.ask("STARTTLS\r\n").await, 220);
            Client::over(connector.connect(name, client.into_stream()).await.unwrap())
        } else {
            let stream = tokio::net::TcpStream::connect(simulator.address()).await.unwrap();
            let mut client = Client::over(connector.connect(name, stream).await.unwrap());
            assert_eq!(client.code().await, 220);
            client
        };
        assert_eq!(client.ask("EHLO araldo.example\r\n").await, 250);
        assert_eq!(client.ask("MAIL FROM:<a@araldo.example>\r\n").await, 530);
        assert_eq!(client.ask("AUTH PLAIN AGFyYWxkbwB4\r\n").await, 535);
        assert_eq!(client.ask("AUTH PLAIN AGFyYWxkbwBzZWdyZXRv\r\n").await, 235);
        assert_eq!(client.send(1, ANNA).await, 250);
        assert!(simulator.mails(|_| true)[0].tls);
        let books = simulator.books();
        assert_eq!((books.tls_sessions, books.tokens), (1, 1));
    }
}

#[tokio::test]
async fn an_order_to_leave_is_a_421_and_dead_addresses_stay_dead() {
    let simulator = relay().await;
    let mut client = Client::greeted(&simulator).await;
    simulator.goaway();
    assert_eq!((client.read_code().await, client.read_code().await), (Some(421), None));
    let dead = Behaviour { unregistered_share: 0.5, ..Behaviour::default() };
    simulator.set_behaviour(dead.clone()).unwrap();
    let mut client = Client::greeted(&simulator).await;
    for number in 0..20 {
        let address = format!("{number}@posta.example");
        let expected = if dead.is_unregistered(&address) { 550 } else { 250 };
        let codes = client.codes_of(number, &address).await;
        assert_eq!(codes[1], expected);
        client.ask("RSET\r\n").await;
    }
}

/// Debian's load generator is a client nobody here wrote. It comes with the package `postfix`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postfix_smtp_source_hands_over_every_mail() {
    let simulator = relay().await;
    let address = simulator.address().to_string();
    let ran = tokio::task::spawn_blocking(move || {
        Command::new("/usr/sbin/smtp-source")
            .args(["-s", "8", "-m", "4000", "-l", "2048", "-f", "a@araldo.example"])
            .args(["-t", "b@posta.example", &address])
            .output()
            .expect("smtp-source: scripts/setup.sh installs it")
    });
    let output = ran.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let books = simulator.books();
    assert_eq!((books.accepted, books.unique_deliveries, books.refused), (4_000, 4_000, 0));
    assert_eq!(simulator.mails(|_| true).len(), 1_000, "the latest are kept");
}
