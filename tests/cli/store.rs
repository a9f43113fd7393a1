//! Snapshots without an agent.

use std::io::Write;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use crate::chain::Engine;
use crate::inn::DEADLINE;
use crate::{ostler, run};

#[tokio::test]
async fn a_store_is_listed_newest_first_with_what_belongs_to_each_snapshot() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    Engine::LevelDb.fill(&data, 50, &[]);
    let (data, at) = (data.to_str().unwrap(), directory.path().join("store"));
    let at = at.to_str().unwrap();
    let store = |action: &str, more: &[&str]| {
        let mut command = ostler(&["store", action, at]);
        command.args(more);
        run(command)
    };
    let none = store("list", &[]).await;
    assert_eq!(none.status, 1, "{none:?}");
    assert!(none.stderr.contains("there is no store at "), "{none:?}");
    std::fs::create_dir(at).unwrap();
    let none = store("list", &[]).await;
    assert!(none.stdout.ends_with(" holds no snapshot\n"), "{none:?}");
    for name in ["first", "second"] {
        let take = ["--name", name, "--way", "copy", "--height", "7"];
        let arguments = [&["store", "take", data, at][..], &take].concat();
        let taken = run(ostler(&arguments)).await;
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
    let restored = store("restore", &["first", data, "--json"]).await.json();
    assert_eq!(
        (&restored["name"], &restored["data"], &restored["accepted"]),
        (&"first".into(), &data.into(), &false.into())
    );
    let undone = store("undo", &["--json"]).await.json();
    assert_eq!(undone, serde_json::json!({"data": data, "undone": true}));
    let nothing = store("accept", &["--json"]).await.json();
    assert_eq!(nothing, serde_json::json!({"data": null}));
    let pruned = store("prune", &["--keep-last", "1", "--json"]).await.json();
    let expected = serde_json::json!({"removed": ["first"], "dry_run": false});
    assert_eq!(pruned, expected);
}

#[tokio::test]
async fn a_warm_take_waits_for_the_stop_and_says_when_to_start() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    std::fs::create_dir(&data).unwrap();
    Engine::LevelDb.fill(&data, 50, &[]);
    let store = directory.path().join("store");
    let paths = [&data, &store].map(|path| path.to_str().unwrap());
    let at = [&["store", "take", "--warm"][..], &paths].concat();
    let begin = |name| {
        let arguments = [&at[..], &["--name", name]].concat();
        let mut command = ostler(&arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).spawn().unwrap()
    };
    async fn next(child: &mut BufReader<&mut tokio::process::ChildStderr>) -> String {
        let mut line = String::new();
        timeout(DEADLINE, child.read_line(&mut line))
            .await
            .unwrap()
            .unwrap();
        line
    }
    async fn ended(mut child: Child) -> i32 {
        let status = timeout(DEADLINE, child.wait()).await.unwrap().unwrap();
        status.code().unwrap()
    }

    let mut child = begin("good");
    let (mut input, mut errors) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
    let mut lines = BufReader::new(&mut errors);
    assert_eq!(
        next(&mut lines).await,
        "stop the workload, then press Enter\n"
    );
    // What it writes until it is stopped belongs to the snapshot.
    let mut late = std::fs::File::create(data.join("late")).unwrap();
    late.write_all(b"written before the stop").unwrap();
    input.write_all(b"\n").await.unwrap();
    assert_eq!(
        next(&mut lines).await,
        "the cut is done: start the workload\n"
    );
    assert_eq!(ended(child).await, 0);
    let kept = store.join("good/data/late");
    assert_eq!(
        std::fs::read_to_string(kept).unwrap(),
        "written before the stop"
    );

    let mut child = begin("given-up");
    drop(child.stdin.take());
    assert_eq!(ended(child).await, 1);
    assert!(!store.join("given-up").exists());

    let hot = [&at[..], &["--way", "hot"]].concat();
    let refused = run(ostler(&hot)).await;
    assert_eq!(refused.status, 64, "{refused:?}");
}
