//! The life of a provider token, on one node and shared by several.

use super::*;

const MINUTE: u64 = 60;

fn source() -> (TokenSource, u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("AuthKey.p8");
    let key = rcgen_key();
    std::fs::write(&path, key).unwrap();
    let source = TokenSource::from_file(&path, "ABC123DEFG", "DEF123GHIJ").unwrap();
    let issued_at = source.current().issued_at;
    (source, issued_at)
}

fn rcgen_key() -> String {
    araldo_loadtest::simulator::Credentials::generate().unwrap().apns_key_pem
}

#[tokio::test]
async fn a_token_is_kept_for_50_minutes_and_then_renewed() {
    let (source, issued) = source();
    let first = source.bearer(issued).await.unwrap();
    assert!(first.value.is_sensitive());
    assert_eq!(source.bearer(issued + 50 * MINUTE - 1).await.unwrap().value, first.value);
    let second = source.bearer(issued + 50 * MINUTE).await.unwrap();
    assert_ne!(second.value, first.value);
    assert_eq!(source.bearer(issued + 51 * MINUTE).await.unwrap().value, second.value);
}

#[tokio::test]
async fn a_token_that_was_used_is_used_on_after_a_restart_while_it_is_young() {
    let folder = tempfile::tempdir().unwrap();
    let (key, kept) = (folder.path().join("AuthKey.p8"), folder.path().join("apns.jwt"));
    std::fs::write(&key, rcgen_key()).unwrap();
    let start = |team: &str| {
        TokenSource::from_file(&key, "ABC123DEFG", team).unwrap().kept_in(kept.clone())
    };
    let first = start("DEF123GHIJ");
    assert!(!kept.exists(), "a token that was not sent needs no keeping");
    let now = first.current().issued_at;
    let bearer = first.bearer(now).await.unwrap();
    let second = start("DEF123GHIJ");
    assert!(second.is_same_key(&first));
    assert_eq!(second.bearer(now).await.unwrap().value, bearer.value);
    assert!(second.bearer(now).await.unwrap().value.is_sensitive());
    // Another team's is another token.
    let other = start("XYZ123GHIJ");
    assert!(!other.is_same_key(&first));
    assert_ne!(other.bearer(now).await.unwrap().value, bearer.value);
    // A renewed one is kept in its place, and an old one is not taken.
    assert_eq!(second.expired(&bearer, now + 20 * MINUTE).await.unwrap(), Renewal::Renewed);
    let renewed = second.current();
    assert_eq!(start("DEF123GHIJ").current().value, renewed.value);
    let old = second.bearer(now - 51 * MINUTE).await.unwrap();
    assert_ne!(start("DEF123GHIJ").current().value, old.value);
}

#[tokio::test]
async fn a_token_called_expired_is_replaced_once_and_never_before_20_minutes() {
    let (source, issued) = source();
    let first = source.bearer(issued).await.unwrap();
    let wait = Duration::from_secs(15 * MINUTE);
    assert_eq!(source.expired(&first, issued + 5 * MINUTE).await.unwrap(), Renewal::TooYoung(wait));
    assert_eq!(source.until_renewable(issued + 5 * MINUTE), wait);
    let now = issued + 20 * MINUTE;
    assert_eq!(source.until_renewable(now), Duration::ZERO);
    assert_eq!(source.expired(&first, now).await.unwrap(), Renewal::Renewed);
    let second = source.bearer(now).await.unwrap();
    // The other requests that were refused with the first one do not sign again.
    assert_eq!(source.expired(&first, now).await.unwrap(), Renewal::Renewed);
    assert_eq!(source.bearer(now).await.unwrap().value, second.value);
}

#[tokio::test]
async fn a_clock_set_back_gives_a_token_with_the_new_time() {
    let (source, issued) = source();
    let first = source.bearer(issued).await.unwrap();
    assert_ne!(source.bearer(issued - 60 * MINUTE).await.unwrap().value, first.value);
}

#[test]
fn an_unusable_key_is_named_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("AuthKey.p8");
    let read = || TokenSource::from_file(&path, "ABC123DEFG", "DEF123GHIJ");
    let text = read().err().unwrap().to_string();
    assert!(text.contains("AuthKey.p8: cannot be read"), "{text}");
    for content in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
        std::fs::write(&path, content).unwrap();
        let text = read().err().unwrap().to_string();
        assert!(text.contains("AuthKey.p8: is not an EC P-256"), "{text}");
    }
    let rsa = araldo_loadtest::simulator::Credentials::generate().unwrap();
    std::fs::write(&path, rsa.service_account.private_key).unwrap();
    let text = read().err().unwrap().to_string();
    assert!(text.contains("is not an EC P-256"), "{text}");
    std::fs::write(&path, rcgen_key()).unwrap();
    let error = TokenSource::from_file(&path, "short", "DEF123GHIJ").err().unwrap();
    assert_eq!(error.place, "key_id");
}

/// A shelf in memory, which can be out of reach.
#[derive(Default)]
struct Table(std::sync::Mutex<(std::collections::HashMap<String, Vec<u8>>, bool)>);

impl Table {
    fn reach(&self, is_reached: bool) {
        self.0.lock().unwrap().1 = !is_reached;
    }
}

#[async_trait::async_trait]
impl Shelf for Table {
    async fn look(&self, name: &str) -> Result<Option<Vec<u8>>, String> {
        let table = self.0.lock().unwrap();
        if table.1 { Err("away".to_owned()) } else { Ok(table.0.get(name).cloned()) }
    }

    async fn swap(&self, name: &str, found: Option<&[u8]>, new: &[u8]) -> Result<bool, String> {
        let mut table = self.0.lock().unwrap();
        if table.1 {
            return Err("away".to_owned());
        }
        let is_same = table.0.get(name).map(Vec::as_slice) == found;
        if is_same {
            table.0.insert(name.to_owned(), new.to_vec());
        }
        Ok(is_same)
    }
}

/// Nodes with one key and one shelf.
fn nodes(count: usize) -> (Arc<Table>, Vec<TokenSource>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("AuthKey.p8");
    std::fs::write(&path, rcgen_key()).unwrap();
    let table = Arc::new(Table::default());
    let node = |_| {
        let source = TokenSource::from_file(&path, "ABC123DEFG", "DEF123GHIJ").unwrap();
        source.shared_over(Arc::clone(&table) as Arc<dyn Shelf>)
    };
    let nodes = (0..count).map(node).collect();
    (table, nodes)
}

#[tokio::test]
async fn nodes_send_the_same_token_and_renew_it_once() {
    let (_, nodes) = nodes(3);
    let now = nodes[0].current().issued_at;
    let first = nodes[0].bearer(now).await.unwrap();
    for node in &nodes {
        assert_eq!(node.bearer(now + 10 * MINUTE).await.unwrap().value, first.value);
    }
    let later = now + 51 * MINUTE;
    let renewed = nodes[2].bearer(later).await.unwrap();
    assert_ne!(renewed.value, first.value);
    for node in &nodes {
        assert_eq!(node.bearer(later + 5).await.unwrap().value, renewed.value);
    }
}

#[tokio::test]
async fn a_token_called_expired_is_replaced_by_the_one_another_node_made() {
    let (_, nodes) = nodes(2);
    let now = nodes[0].current().issued_at;
    let (ours, theirs) = (nodes[0].bearer(now).await.unwrap(), nodes[1].bearer(now).await.unwrap());
    let young = nodes[0].expired(&ours, now + 5 * MINUTE).await.unwrap();
    assert_eq!(young, Renewal::TooYoung(Duration::from_secs(15 * MINUTE)));
    let later = now + 25 * MINUTE;
    assert_eq!(nodes[0].expired(&ours, later).await.unwrap(), Renewal::Renewed);
    let renewed = nodes[0].bearer(later).await.unwrap();
    assert_ne!(renewed.value, ours.value);
    // A minute later the other one hears the same and must not sign again.
    assert_eq!(nodes[1].expired(&theirs, later + MINUTE).await.unwrap(), Renewal::Renewed);
    assert_eq!(nodes[1].bearer(later + MINUTE).await.unwrap().value, renewed.value);
}

#[tokio::test]
async fn no_token_is_sent_that_the_others_cannot_find_and_a_shared_one_is_used_to_its_end() {
    let (table, nodes) = nodes(1);
    let now = nodes[0].current().issued_at;
    table.reach(false);
    assert!(matches!(nodes[0].bearer(now).await, Err(TokenError::Shelf(_))));
    table.reach(true);
    let first = nodes[0].bearer(now).await.unwrap();
    table.reach(false);
    assert_eq!(nodes[0].bearer(now + 58 * MINUTE).await.unwrap().value, first.value);
    assert!(nodes[0].bearer(now + 60 * MINUTE).await.is_err());
    table.reach(true);
    assert_ne!(nodes[0].bearer(now + 60 * MINUTE).await.unwrap().value, first.value);
}

#[tokio::test]
async fn what_another_key_put_on_the_shelf_is_not_taken() {
    let (table, nodes) = nodes(1);
    let now = nodes[0].current().issued_at;
    let name = shelf::name(&nodes[0].identity);
    let forged = Kept { issued_at: now, token: "a.b.c".to_owned() }.to_text(&[7; 32]);
    assert!(table.swap(&name, None, forged.as_bytes()).await.unwrap());
    let sent = nodes[0].bearer(now).await.unwrap();
    assert_eq!(sent.value, nodes[0].current().value);
    assert!(!sent.value.to_str().unwrap().contains("a.b.c"));
}
