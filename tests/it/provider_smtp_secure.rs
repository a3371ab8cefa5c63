//! TLS and AUTH of the SMTP connector, over real sockets.

use araldo::provider::smtp::{Security, SmtpConnector, SmtpOptions};
use araldo_actors::port::provider::{Answer, ConnectError};
use araldo_loadtest::simulator::Credentials;
use araldo_loadtest::simulator::credentials::file;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::mail_kit::{connector, links, options, secured, send};
use crate::smtp_relay::{Act, Relay, Script, acceptor, say};

/// A folder with a CA, and a script with its certificate.
fn credentials(offers: &[&str], implicit: bool) -> (TempDir, Script) {
    let folder = tempfile::tempdir().unwrap();
    let credentials = Credentials::generate().unwrap();
    credentials.write(folder.path()).unwrap();
    let tls = Some(acceptor(&credentials));
    (folder, Script { tls, implicit, ..Script::default() }.offering(offers))
}

fn options_of(relay: &Relay, security: Security, folder: &TempDir) -> SmtpOptions {
    secured(relay.address, security, &folder.path().join(file::CA))
}

#[tokio::test]
async fn a_mail_goes_over_starttls_and_what_was_offered_before_is_forgotten() {
    let (folder, script) = credentials(&["PIPELINING", "STARTTLS"], false);
    let relay = Relay::start(script).await;
    let link = connector(options_of(&relay, Security::StartTls, &folder)).open().await.unwrap();
    assert_eq!(send(&link, 1).await, Answer::Accepted);
    let commands = relay.commands();
    assert_eq!(commands[1], "STARTTLS");
    assert!(commands[0].starts_with("EHLO [127.0.0.1]") && commands[2].starts_with("EHLO"));
}

#[tokio::test]
async fn a_mail_goes_over_tls_from_the_first_byte() {
    let (folder, script) = credentials(&["PIPELINING"], true);
    let relay = Relay::start(script).await;
    let link = connector(options_of(&relay, Security::Implicit, &folder)).open().await.unwrap();
    for number in 0..3 {
        assert_eq!(send(&link, number).await, Answer::Accepted);
    }
    assert_eq!(relay.mails().len(), 3);
}

#[tokio::test]
async fn without_starttls_there_is_no_session_and_no_word_of_ours() {
    let (folder, script) = credentials(&["PIPELINING"], false);
    let relay = Relay::start(script).await;
    let refused = connector(options_of(&relay, Security::StartTls, &folder)).open().await.err();
    let Some(ConnectError::Refused(why)) = refused else { panic!("{refused:?}") };
    assert!(why.ends_with("does not offer STARTTLS"), "{why}");
    let (folder, script) = credentials(&["STARTTLS"], false);
    let script = Script { acts: vec![("STARTTLS", say("454 4.7.0 not now"))], ..script };
    let relay = Relay::start(script).await;
    let refused = connector(options_of(&relay, Security::StartTls, &folder)).open().await.err();
    assert!(matches!(refused, Some(ConnectError::Unreachable(_))), "{refused:?}");
    assert_eq!(relay.commands().len(), 2, "nothing after the refusal");
}

#[tokio::test]
async fn what_comes_in_clear_text_after_starttls_is_not_believed() {
    let (folder, script) = credentials(&["STARTTLS"], false);
    let injected = Act::Say("220 go on\r\n250 AUTH PLAIN\r\n".to_owned());
    let script = Script { acts: vec![("STARTTLS", injected)], ..script };
    let relay = Relay::start(script).await;
    let refused = connector(options_of(&relay, Security::StartTls, &folder)).open().await.err();
    let Some(ConnectError::Unreachable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.ends_with("the relay spoke before TLS began"), "{why}");
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    for (security, implicit) in [(Security::StartTls, false), (Security::Implicit, true)] {
        let (_folder, script) = credentials(&["STARTTLS"], implicit);
        let (other, _) = credentials(&[], false);
        let relay = Relay::start(script).await;
        let refused = connector(options_of(&relay, security, &other)).open().await.err();
        let Some(ConnectError::Unreachable(why)) = refused else { panic!("{refused:?}") };
        assert!(why.contains("TLS: "), "{why}");
    }
}

fn signed_in(mut options: SmtpOptions, folder: &TempDir) -> SmtpOptions {
    let password = folder.path().join("password");
    std::fs::write(&password, "pàss word\n").unwrap();
    options.credentials = Some(("araldo".to_owned(), password));
    options
}

#[tokio::test]
async fn signing_in_is_by_plain_or_by_login_and_only_over_tls() {
    let plain = format!("AUTH PLAIN {}", STANDARD.encode("\0araldo\0pàss word"));
    let login = ["AUTH LOGIN".to_owned(), STANDARD.encode("araldo"), STANDARD.encode("pàss word")];
    for (offer, expected) in [("AUTH LOGIN PLAIN", vec![plain]), ("AUTH LOGIN", login.to_vec())] {
        let (folder, script) = credentials(&["PIPELINING", "STARTTLS", offer], false);
        let acts =
            if expected.len() > 1 { vec![("AUTH", say("334 VXNlcm5hbWU6"))] } else { vec![] };
        let relay = Relay::start(Script { acts, ..script }).await;
        let options = signed_in(options_of(&relay, Security::StartTls, &folder), &folder);
        let link = connector(options).open().await.unwrap();
        assert_eq!(send(&link, 1).await, Answer::Accepted);
        let commands = relay.commands();
        assert_eq!(commands[1], "STARTTLS");
        assert_eq!(commands[3..3 + expected.len()], expected[..]);
    }
}

#[tokio::test]
async fn who_may_not_sign_in_is_told_so_without_a_word_of_the_relays() {
    for (act, refused) in [
        (say("535 5.7.8 araldo: wrong password"), true),
        (say("454 4.7.0 try later"), false),
        (Act::Close, false),
    ] {
        let (folder, script) = credentials(&["AUTH PLAIN"], true);
        let relay = Relay::start(Script { acts: vec![("AUTH", act)], ..script }).await;
        let options = signed_in(options_of(&relay, Security::Implicit, &folder), &folder);
        let error = connector(options).open().await.err().unwrap();
        assert_eq!(matches!(error, ConnectError::Refused(_)), refused, "{error}");
        assert!(!error.to_string().contains("araldo"), "{error}");
    }
    let (folder, script) = credentials(&["PIPELINING"], true);
    let relay = Relay::start(script).await;
    let options = signed_in(options_of(&relay, Security::Implicit, &folder), &folder);
    let error = connector(options).open().await.err().unwrap();
    assert!(error.to_string().ends_with("does not offer AUTH PLAIN or LOGIN"), "{error}");
}

#[test]
fn options_that_cannot_be_used_are_named_with_their_reason() {
    let folder = tempfile::tempdir().unwrap();
    let address = "127.0.0.1:25".parse().unwrap();
    let fault = |options: SmtpOptions| SmtpConnector::new(options, links()).err().unwrap();
    let wrong_from = SmtpOptions { from: "nobody".to_owned(), ..options(address) };
    assert!(fault(wrong_from).to_string().starts_with("from: must be a mailbox"));
    let missing = folder.path().join("password");
    let credentials = Some(("u".to_owned(), missing.clone()));
    let no_file = SmtpOptions { credentials: credentials.clone(), ..options(address) };
    assert!(fault(no_file).to_string().contains("password: cannot be read"));
    std::fs::write(&missing, "\n").unwrap();
    let empty = SmtpOptions { credentials, ..options(address) };
    assert!(fault(empty).to_string().ends_with("must hold one line: the password"));
    let no_ca = secured(address, Security::StartTls, &folder.path().join("ca.pem"));
    assert!(fault(no_ca).to_string().contains("ca.pem: cannot be read"));
}
