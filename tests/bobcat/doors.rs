//! Who may do what, and what is not there.

use std::time::{Duration, Instant};

use crate::town::{STOCK, Town};

const STILL: &[&str] = &["TESTNODE_GENESIS=1187280", "TESTNODE_RATE=0"];

#[test]
fn reading_is_open_and_changing_needs_the_password_and_the_method() {
    let town = Town::start("doors", STILL);
    town.until_status("Synced");
    for path in [
        "/status.json",
        "/miner.json",
        "/temp.json",
        "/speed.json",
        "/dig.json",
        "/led.json",
    ] {
        assert!(town.json(path).is_object(), "{path}");
    }
    assert_eq!(town.json("/led.json"), serde_json::json!({"led": "green"}));
    let page = town.get("/");
    assert!(
        page.body
            .contains("Diagnoser - Bobcatminer Diagnostic Dashboard")
    );

    for action in ["reboot", "reset", "resync", "fastsync"] {
        let path = format!("/admin/{action}");
        for more in [
            &[][..],
            &["--head"],
            &["--user", STOCK],
            &["--request", "PUT", "--user", STOCK],
        ] {
            let reply = town.curl(&path, more);
            assert_eq!(reply.status, 405, "{action} {more:?}");
        }
        let post = |more: &[&str]| {
            town.curl(&path, &[&["--request", "POST"], more].concat())
                .status
        };
        assert_eq!(post(&[]), 401);
        assert_eq!(post(&["--user", "bobcat:wrong"]), 401);
        assert_eq!(
            post(&["--user", STOCK, "--header", "Origin: http://evil.example"]),
            403
        );
    }
    let asked = town.curl(
        "/admin/resync",
        &["--request", "POST", "--dump-header", "-"],
    );
    assert!(
        asked
            .body
            .to_lowercase()
            .contains("www-authenticate: basic"),
        "{}",
        asked.body
    );
    assert_eq!(town.get("/log/console.log").status, 401);
    let log = town.curl("/log/console.log", &["--user", STOCK]);
    assert!(log.body.contains("blockchain opened"), "{}", log.body);
    let nothing = town.get("/nothing.json");
    assert_eq!(
        (nothing.status, nothing.body.as_str()),
        (404, "{\"message\":\"Not Found\"}")
    );
    assert!(
        town.operations().is_empty(),
        "nothing of that had an effect"
    );
    assert_eq!(town.starts(), 1);
}

#[test]
fn the_page_is_never_limited_and_the_speed_is() {
    let town = Town::start("limits", STILL);
    town.until_status("Synced");
    // All by one process: how long sixty of them would take is the machine's affair.
    let many = |path: &str| {
        let begun = Instant::now();
        let reply = town.curl(
            &format!("{path}?[1-60]"),
            &["--write-out", "\n%{http_code}\n"],
        );
        let seconds = begun.elapsed().as_secs() as usize;
        let told = format!("{}\n{}", reply.body, reply.status);
        let count = |status: &str| told.lines().filter(|line| *line == status).count();
        (count("200"), count("429"), seconds, told)
    };
    let (answered, limited, ..) = many("/");
    assert_eq!((answered, limited), (60, 0), "the page");
    let (answered, limited, seconds, told) = many("/speed.json");
    assert_eq!(answered + limited, 60, "{told}");
    assert!(answered >= 12, "{told}");
    assert!(answered <= 13 + seconds, "{answered} in {seconds} s");
    assert!(
        limited == 0 || told.contains("{\"message\":\"rate limit exceeded\"}"),
        "{told}"
    );
    assert!(limited > 0 || seconds >= 47, "{told}");
    // Connections on which nothing is said cost nothing.
    let script = "for i in $(seq 300); do exec 3<>/dev/tcp/127.0.0.1/80; exec 3>&-; done";
    assert!(
        town.command("bash")
            .args(["-c", script])
            .status()
            .unwrap()
            .success()
    );
    let reply = town.get("/");
    assert_eq!(reply.status, 200);
    assert!(reply.took < Duration::from_secs(20));
}
