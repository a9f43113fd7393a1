//! What is said of the content.

use std::fs;

use ostler::checkpoint::{Checkpoint, Layout, Rules};

use super::python::workspace;
use super::staged::staged;
use super::{judged, problems_of, tiny_text};

#[test]
fn an_unknown_version_needs_two_words_of_consent() {
    let text = tiny_text().replace("\"version\": \"7.1.1\"", "\"version\": \"7.1.2\"");
    assert_eq!(
        problems_of(&text, &Rules::default()),
        [
            "version is not one we can vouch for: version 7.1.2 is unknown: 7.1.1 and 8.8.9 are known"
        ]
    );
    let mut rules = Rules {
        unknown_version: true,
        ..Rules::default()
    };
    assert_eq!(problems_of(&text, &rules).len(), 1);
    rules.layout = Some(Layout::Ptn711);
    assert_eq!(problems_of(&text, &rules), [""; 0]);
}

#[test]
fn the_version_counts_wherever_it_stands() {
    let text = tiny_text().replacen("\"version\": \"7.1.1\", ", "", 1);
    let text = format!(
        "{}, \"version\": \"8.8.9\"}}",
        text.strip_suffix('}').unwrap()
    );
    let work = workspace();
    let path = work.path().join("c.json");
    // The price source of the sample has a key that 8.8.9 fails on.
    fs::write(&path, text.replace(", \"volume\": 3", "")).unwrap();
    let report = judged(&path, &Rules::default()).unwrap();
    assert!(report.is_sound(), "{:?}", report.problems);
    assert_eq!(report.summary.layout, Some(Layout::Vanta889));
}

#[test]
fn every_problem_is_reported_and_the_list_is_bounded() {
    let text = tiny_text()
        .replace("\"price\": 101024.24", "\"price\": NaN")
        .replace("\"dd\": null", "\"dd\": -Infinity")
        .replace("\"crypto\"", "\"stocks\"")
        .replace(
            "0a1b2c3d-0000-4000-8000-000000000001\", \"open_ms",
            "../x\", \"open_ms",
        );
    let problems = problems_of(&text, &Rules::default());
    let hotkey = "5DE6K842eErCeDcMvodN6EL6AeBomyFtn8FqjgnjzDT75FhE";
    assert_eq!(
        problems,
        [
            "eliminations[0].dd is not finite (-inf)".to_owned(),
            format!("positions.{hotkey}.positions[0].orders[0].price is not finite (NaN)"),
            format!(
                "positions.{hotkey}.positions[1].position_uuid `../x` has a `/` in it, so it would be written somewhere else"
            ),
            format!("asset_selections.{hotkey} is not one of crypto, forex, indices, equities"),
        ]
    );

    let many = format!("\"eliminations\": [{}", "1, ".repeat(5000));
    let work = workspace();
    let path = work.path().join("c.json");
    fs::write(&path, tiny_text().replace("\"eliminations\": [", &many)).unwrap();
    let report = judged(&path, &Rules::default()).unwrap();
    assert_eq!(report.problems.total, 5000);
    assert_eq!(report.problems.listed.len(), ostler::checkpoint::LISTED);
}

#[test]
fn missing_sections_are_blank_or_left_to_the_old_state_when_that_is_wanted() {
    let mut document: serde_json::Value = serde_json::from_str(&tiny_text()).unwrap();
    for section in [
        "perf_ledgers",
        "challengeperiod",
        "miner_account_sizes",
        "asset_selections",
    ] {
        document.as_object_mut().unwrap().remove(section);
    }
    assert_eq!(
        problems_of(&document.to_string(), &Rules::default()).len(),
        4
    );

    let work = workspace();
    let path = work.path().join("c.json");
    fs::write(&path, document.to_string()).unwrap();
    let rules = Rules {
        missing_sections: true,
        ..Rules::default()
    };
    let checkpoint = Checkpoint::open(&path).unwrap();
    let into = work.path().join("validation");
    let (report, written) = staged(&checkpoint, &rules, None, &into).unwrap();
    assert_eq!(report.warnings.total, 4);
    let written = written.unwrap();
    assert_eq!(
        written.absent,
        ["miner_account_sizes.json", "asset_selections.json"]
    );
    assert_eq!(written.blank, ["departed_hotkeys.json"]);
    assert_eq!(
        fs::read_to_string(into.join("perf_ledgers.json")).unwrap(),
        "{}"
    );
    assert_eq!(
        fs::read_to_string(into.join("challengeperiod.json")).unwrap(),
        "{}"
    );
    assert!(!into.join("asset_selections.json").exists());
}
