//! What the program says of itself, and to who gets it wrong.

use crate::{ostler, run};

const ALL: [&str; 11] = [
    "run",
    "status",
    "start",
    "stop",
    "restart",
    "cancel",
    "operations",
    "logs",
    "doctor",
    "checkpoint",
    "config",
];

#[tokio::test]
async fn help_is_as_it_was() {
    let overview = run(ostler(&["--help"])).await;
    assert_eq!(overview.status, 0);
    insta::assert_snapshot!("ostler", overview.stdout);
    for subcommand in ALL {
        let help = run(ostler(&[subcommand, "--help"])).await;
        assert_eq!(help.status, 0, "{subcommand}");
        insta::assert_snapshot!(subcommand, help.stdout);
    }
}

#[tokio::test]
async fn the_version_is_that_of_the_package() {
    let version = run(ostler(&["--version"])).await;
    assert_eq!(
        version.stdout,
        format!("ostler {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[tokio::test]
async fn a_wrong_command_line_is_an_error_of_usage_and_asks_nobody() {
    for wrong in [
        &[][..],
        &["frob"],
        &["start"],
        &["start", "../etc"],
        &["start", "--", "-rf"],
        &["start", "miner", "--grace", "3"],
        &["restart", "miner", "--id", "a/b"],
        &["restart", "miner", "--expires-in", "0"],
        &["restart", "miner", "--expires-in", "soon"],
        &["operations", "--wait"],
        &["operations", "--limit", "0"],
        &["operations", "x", "--limit", "3"],
        &["logs", "miner", "-n", "0"],
        &["logs", "miner", "-n", "10001"],
        &["status", "a", "b"],
        &["status", "--sockett", "x"],
        &["config"],
    ] {
        let ended = run(ostler(wrong)).await;
        assert_eq!(ended.status, 64, "{wrong:?}: {ended:?}");
        assert!(
            ended.stdout.is_empty() && !ended.stderr.is_empty(),
            "{wrong:?}: {ended:?}"
        );
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_an_error_of_usage() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ostler.toml");
    std::io::Write::write_all(&mut std::fs::File::create(&file).unwrap(), b"frob = 1").unwrap();
    let ended = run(ostler(&[
        "config",
        "show",
        "--config",
        file.to_str().unwrap(),
    ]))
    .await;
    assert_eq!(ended.status, 64, "{ended:?}");
    assert!(ended.stderr.contains("frob"), "{ended:?}");
}
