//! What is shown beside the two bodies: the light, the temperatures, the page.

use serde_json::{Value, json};

use super::super::page;
use super::super::temperature::Temperatures;
use super::super::view::View;
use super::seen::*;
use crate::clock::Timestamp;

#[test]
fn the_light_says_the_same_as_the_status() {
    for (state, sync, light) in [
        ("running", "synced", "green"),
        ("running", "syncing", "white"),
        ("running", "loading", "yellow"),
        ("running", "silent", "red"),
        ("stopped", "down", "red"),
    ] {
        let view = View::of(Some(report(state, sync, None)), known(), None);
        assert_eq!(view.led(), light);
    }
    let view = View::of(
        Some(report("running", "synced", None)),
        known(),
        Some(&job("reset", "accepted", &[])),
    );
    assert_eq!(view.led(), "yellow");
}

#[test]
fn temperatures_are_whole_degrees_and_there_are_always_two() {
    let sample = |sensors: Value| {
        let telemetry = serde_json::from_value(json!({
            "session": 1, "sequence": 1, "at": NOW, "refused": 0, "clock_synced": true, "disks": [], "networks": [],
            "dropped": { "telemetry": 0, "events": 0, "oversized": 0 }, "temperatures": sensors,
        }))
        .unwrap();
        serde_json::to_string(&Temperatures::of(Some(&telemetry), Timestamp::now())).unwrap()
    };
    let body = |zero: i64, one: i64| {
        format!(
            "{{\"timestamp\":\"2022-01-20 18:12:36 +0000 UTC\",\"temp0\":{zero},\"temp1\":{one},\"unit\":\"°C\"}}"
        )
    };
    let zone =
        |name: &str, celsius: f64| json!({ "sensor": name, "label": "x", "celsius": celsius });
    assert_eq!(
        sample(json!([
            zone("thermal_zone0", 38.5),
            zone("thermal_zone1", -0.6)
        ])),
        body(39, -1)
    );
    assert_eq!(sample(json!([zone("thermal_zone0", 38.4)])), body(38, 38));
    assert_eq!(sample(json!([zone("hwmon0/temp1", 41.0)])), body(41, 41));
    assert_eq!(sample(json!([])), body(0, 0));
}

#[test]
fn the_page_is_known_by_its_title_and_its_name() {
    let view = View::of(
        Some(report("running", "synced", Some(7))),
        answers("synced", 1, 7, 0),
        None,
    );
    let page = page::page(&view, &Temperatures::of(None, Timestamp::now()));
    assert!(page.contains("<title>Diagnoser - Bobcatminer Diagnostic Dashboard</title>"));
    assert!(page.contains("</i> Fancy Awesome Bobcat</header>"));
    assert!(page.contains("<span class=\"Synced\">Synced (gap:0)</span>"));
}
