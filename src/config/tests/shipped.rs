//! What is shipped: the sample, the reference page, and what the documents show.

use super::*;

fn shipped(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

#[test]
fn the_shipped_sample_and_page_are_those_that_the_program_writes() {
    for (file, written, command) in [
        (
            "packaging/ostler.toml",
            reference::sample(),
            "ostler config reference --sample",
        ),
        (
            "docs/configuration.md",
            reference::page(),
            "ostler config reference",
        ),
    ] {
        assert_eq!(shipped(file), written, "write it anew: {command} > {file}");
    }
}

#[test]
fn the_sample_says_what_holds_without_it_and_every_setting_in_it_is_valid() {
    let sample = shipped("packaging/ostler.toml");
    assert_eq!(parse(&sample).unwrap(), Config::default());

    let uncommented: String = sample
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.is_empty() && !setting.starts_with(' ') => {
                format!("{setting}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    // Tables that go with one kind only cannot all hold at once: each is tried with its own.
    let (before, node) = uncommented.split_once("[workload.harmony]").unwrap();
    let (node, validator) = node.split_once("[workload.ptn]").unwrap();
    let node = format!("{MINER}kind = \"harmony\"\n[workload.harmony]{node}");
    let validator = format!("{MINER}kind = \"ptn\"\n[workload.ptn]{validator}");
    assert!(parse(&validator).unwrap().workload[0].ptn.is_some());
    assert!(parse(&node).unwrap().workload[0].harmony.is_some());
    let config = parse(before).unwrap();
    let changes = config.changes(&Config::default());
    for key in ["mqtt.password-file", "http.token-file", "workload.miner"] {
        assert!(
            changes.restart.iter().any(|changed| changed == key),
            "{key}"
        );
    }
}

#[test]
fn every_configuration_that_the_documents_show_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .chain([root.join("README.md")])
        .filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    for page in pages {
        let Ok(text) = std::fs::read_to_string(&page) else {
            continue;
        };
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if let Err(error) = Config::parse(block, &page) {
                panic!("{error}\n{block}");
            }
        }
    }
}
