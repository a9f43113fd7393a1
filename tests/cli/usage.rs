//! What the program says of itself, and to who gets it wrong.

use clap::{Command, CommandFactory};
use ostler::cli::Cli;

use crate::{ostler, run};

/// The words that lead to each subcommand, and to those under it.
fn subcommands(of: &Command, above: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![above.to_vec()];
    for subcommand in of.get_subcommands() {
        let words = [above, &[subcommand.get_name().to_owned()]].concat();
        all.extend(subcommands(subcommand, &words));
    }
    all
}

#[tokio::test]
async fn help_is_as_it_was() {
    let all = subcommands(&Cli::command(), &[]);
    assert!(all.len() > 10, "{all:?}");
    for words in all {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = run(ostler(&arguments)).await;
        assert_eq!(help.status, 0, "{words:?}");
        let name = [vec!["ostler".to_owned()], words].concat().join("-");
        insta::assert_snapshot!(name, help.stdout);
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
