//! The power is cut before and after each file operation of a restart; each time the command is done once and whole.

use std::os::unix::process::ExitStatusExt;

use super::*;

/// More instants than a start of the agent with a restart has: reached only where the cut never comes.
const MOST: u32 = 200;

#[test]
fn a_restart_survives_a_power_cut_at_every_instant_and_is_done_once() {
    let broker = Broker::start_with(broker::Setup {
        persistent: true,
        ..Default::default()
    });
    let miner = Miner::start("power-cut");
    let mut agent = known_to(&broker, &config(miner.0, Some(&broker)));
    let mut starts = miner.starts();
    let mut instants = 0;
    for instant in 1..MOST {
        let id = format!("restart-{instant}");
        publish(&broker, "restart", &format!(r#"{{"id":"{id}"}}"#));
        agent.start_with_power_cut("state", instant);
        // Either the power is cut, or the restart comes to its end first: then there are no more instants.
        let ended = |agent: &Agent| {
            agent
                .journalled(&id)
                .is_some_and(|record| record["state"] == "succeeded")
        };
        let mut cut = false;
        let begun = std::time::Instant::now();
        while !cut && !ended(&agent) {
            cut = agent.ended().is_some();
            assert!(
                begun.elapsed().as_secs() < 120,
                "it does not end: {}",
                agent.log()
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        // What comes after the last journal write of the record is part of it too.
        if !cut {
            cut = agent.ended_within(std::time::Duration::from_millis(300));
        }
        if !cut {
            // The cut may have come only now, after a sync that took its time.
            let end = agent.terminate();
            cut = end.signal() == Some(9);
            assert!(cut || end.success(), "{end}");
        }
        if cut {
            agent.start();
        }
        let record = agent.wait_for(&id);
        assert_eq!(
            record["state"],
            "succeeded",
            "instant {instant}: {record}\n{}",
            agent.log()
        );
        agent.wait_until("it runs", |_| miner.runs());
        starts += 1;
        assert_eq!(
            miner.starts(),
            starts,
            "instant {instant}: {record}\n{}",
            agent.log()
        );
        if !cut {
            break;
        }
        assert!(agent.terminate().success());
        instants = instant;
    }
    // Session, acceptance, three steps and the end: each at least a fsync, a rename and the directory's fsync.
    assert!(
        instants >= 2 * 3 * 9,
        "only {instants} instants: was the power cut at all?"
    );
    assert!(
        instants < MOST - 1,
        "the cut came at every instant that was tried"
    );
}
