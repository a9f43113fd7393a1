//! The miner driven through the states of a reboot, each body compared field by field with the one that was recorded from a
//! stock device. The device does not boot really: see the suite `systemd` for one that does.

use serde_json::json;

use crate::golden::{Golden, nothing, nothing_known, numbers, ports};
use crate::town::{ACTIONS, MINER, Town};

#[test]
fn a_reboot_goes_through_the_states_of_a_stock_device() {
    let environment = [
        "TESTNODE_GENESIS=1187280",
        "TESTNODE_RATE=0",
        "TESTNODE_TERM_DELAY=10",
        "TESTNODE_STATE=erroring",
        "TESTNODE_MUTE=print_keys",
        "TESTNODE_JOIN_DELAY=3600",
    ];
    let mut town = Town::start("reboot", &environment);
    town.set("mute", "");
    town.set("state", "normal");
    town.set("join-delay", "0");
    let (height, epoch) = ("1187280", "31245");
    let synced = numbers("Synced", "0", height, height, epoch);
    assert_eq!(town.until_status("Synced"), synced);
    let golden = Golden::of(&town, MINER);
    let body = golden.until("all of it was seen", |body| {
        body["ports"] == ports("open") && body["p2p_status"].to_string().contains("none")
    });
    let well = golden.answered(height, epoch, "region_us915", &body);
    assert_eq!(body, well);

    let device = town.agent.get("/v1/device");
    assert_eq!(device["operations"], json!(["reboot"]), "{device}");

    // The answer is there while the miner is being stopped still.
    town.obey_reboots();
    let reply = town.post("reboot");
    assert_eq!(
        (reply.status, reply.body.as_str()),
        (200, "Rebooting hotspot")
    );
    let going = numbers("Unkown", "-", "-", height, "-");
    assert_eq!(town.json("/status.json"), going);
    assert_eq!(golden.miner(), well);
    for action in ACTIONS {
        let refused = town.post(action);
        assert_eq!(refused.status, 409, "{action}: {}", refused.body);
    }
    let stopped = golden.until("it has stopped", |body| body["miner"] == nothing());
    let mut gone = golden.gone();
    gone["ports"] = ports("closed/timeout");
    assert_eq!(stopped, gone);
    assert_eq!(town.json("/status.json"), going);
    town.agent
        .wait_until("the system is told", |_| town.reboots() == 1);

    // Who it is, it has not said yet either.
    let identity = golden.identity();
    town.boot();
    let tip = "miner not started. exit status 1";
    let starting = town.until("it is starting", |body| body["tip"] == tip);
    assert_eq!(starting, nothing_known("Error", tip));
    let nobody = Golden::known(&town, MINER, (json!(""), json!("")));
    let body = nobody.miner();
    let mut expected = nobody.starting(&body);
    // Where the world sees it, follows from its peer book.
    for key in ["public_ip", "ports"] {
        expected[key] = body[key].clone();
    }
    assert_eq!((&body, &body["public_ip"]), (&expected, &json!("")));

    town.set("mute", "");
    town.set("state", "normal");
    assert_eq!(town.until_status("Synced"), synced);
    let golden = Golden::known(&town, MINER, identity);
    let body = golden.until("it says who it is", |body| body["animal"] != "");
    let mut expected = golden.answered(height, epoch, "region_us915", &body);
    for key in ["public_ip", "ports"] {
        expected[key] = body[key].clone();
    }
    assert_eq!(body, expected);
    assert!(body["p2p_status"].to_string().contains("unknown"), "{body}");
    assert_eq!((town.starts(), town.reboots()), (2, 1));

    let operations = town.operations();
    assert_eq!(operations.len(), 1, "{operations:?}");
    let record = &operations[0];
    assert_eq!(
        (&record["operation"], &record["state"]),
        (&json!("reboot"), &json!("succeeded")),
        "{record}"
    );
    assert_ne!(record["output"]["boot_id"], record["output"]["boot_id_now"]);
}
