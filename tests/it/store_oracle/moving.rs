//! A store moved from the embedded one into Redis goes on as the reference
//! does: what was there is there, with its ids, places, marks and epochs, and
//! whatever is done next has the same answers.

use proptest::prelude::*;

use araldo::store::migrate::{Migration, Progress, Stage, migrate};

use super::*;

impl Candidate {
    /// The same store, moved into Redis.
    pub(super) async fn moved(self, servers: Servers) -> Self {
        let Self::Embedded { folder, store } = self else { panic!("moved twice") };
        drop(store);
        let options = own(servers);
        let migration = Migration {
            from: folder.path().to_owned(),
            to: options.clone(),
            start_over: false,
            secret: None,
        };
        let mut stages = Vec::new();
        let moved = migrate(&migration, |Progress { stage, .. }| stages.push(stage)).await.unwrap();
        assert!(stages.contains(&Stage::Moving) && stages.contains(&Stage::Counting));
        assert!(moved.rows >= u64::from(PARTITIONS));
        // The source is left as it was, and opens.
        drop(embedded(folder.path()));
        Self::redis(options).await
    }
}

/// Runs some operations, moves the store, and runs the others.
fn compare_moved(
    servers: impl FnOnce() -> Servers,
    before: Vec<Operation>,
    after: Vec<Operation>,
) -> Result<(), TestCaseError> {
    // Whoever owned a partition before takes it over anew.
    let again = [Operation::Move].into_iter().chain((0..PARTITIONS).map(Operation::Open));
    let operations = population().into_iter().chain(before).chain(again).chain(after);
    let operations = (0..PARTITIONS).map(Operation::Open).chain(operations).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut servers = Some(servers());
        side_by_side_moved(Candidate::embedded(), operations, &[0], &mut servers).await
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_store_moved_into_redis_goes_on_as_the_reference_does(
        before in proptest::collection::vec(operation(), 10..150),
        after in proptest::collection::vec(operation(), 10..60),
    ) {
        compare_moved(|| Servers::Single(shared_server().url()), before, after)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn a_store_moved_into_a_cluster_goes_on_as_the_reference_does(
        before in proptest::collection::vec(operation(), 10..150),
        after in proptest::collection::vec(operation(), 10..60),
    ) {
        compare_moved(|| shared_cluster().servers(), before, after)?;
    }
}
