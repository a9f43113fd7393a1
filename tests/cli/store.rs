//! Snapshots without an agent.

use crate::chain::Engine;
use crate::{ostler, run};

#[tokio::test]
async fn a_store_is_listed_newest_first_with_what_belongs_to_each_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    Engine::LevelDb.fill(&data, 50, &[]);
    let at = ["--data", data.to_str().unwrap()];
    let store = |action: &'static str, more: &[&'static str]| {
        let arguments = [&["store", action][..], &at, more].concat();
        run(ostler(&arguments))
    };
    let none = store("list", &[]).await;
    assert!(none.stdout.ends_with(" holds no snapshot\n"), "{none:?}");
    for name in ["first", "second"] {
        let taken = store("take", &["--name", name, "--way", "copy", "--height", "7"]).await;
        assert_eq!(taken.status, 0, "{taken:?}");
    }
    let listed = store("list", &[]).await;
    let rows: Vec<_> = listed.stdout.lines().collect();
    assert_eq!(rows.len(), 3, "{listed:?}");
    assert!(
        rows[1].starts_with("second ") && rows[1].ends_with("  copy  good"),
        "{listed:?}"
    );
    let list = store("list", &["--json"]).await.json();
    for snapshot in list.as_array().unwrap() {
        assert_eq!(snapshot["height"], 7, "{snapshot}");
        let own = snapshot["space"]["exact"].as_u64();
        assert!(own >= snapshot["total_bytes"].as_u64(), "{snapshot}");
    }
    let verified = store("verify", &[]).await;
    assert_eq!(verified.status, 0, "{verified:?}");
    assert_eq!(
        verified.stdout.matches(": good (L3").count(),
        2,
        "{verified:?}"
    );
}
