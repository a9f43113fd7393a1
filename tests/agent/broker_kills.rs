//! The broker is killed and started again fifty times while commands are given: none is lost, none runs twice.

use super::*;

const KILLS: usize = 50;

/// Every so many commands one is a restart of the real container; the others are plans, which go the same way.
const RESTART_EVERY: usize = 5;

/// So many wait at most: a lane holds 16, and what is too much for it is refused.
const BATCH: usize = 10;

#[test]
fn fifty_kills_of_the_broker_lose_no_command_and_run_none_twice() {
    let mut broker = Broker::start_with(broker::Setup {
        persistent: true,
        ..Default::default()
    });
    let miner = Miner::start("broker-kills");
    let config = config(miner.0, Some(&broker)).replace("[mqtt]", "[mqtt]\nlongest-pause = 1");
    let mut agent = known_to(&broker, &config);
    agent.start();
    let starts = miner.starts();
    let command = |round: usize| {
        let dry_run = !round.is_multiple_of(RESTART_EVERY);
        format!(r#"{{"id":"round-{round}","dry_run":{dry_run}}}"#)
    };
    for round in 1..=KILLS {
        // The operator's client has the broker's word for it before the kill; what happens then is up to the agent.
        publish(&broker, "restart", &command(round));
        broker.save();
        broker.kill();
        broker.resume_service();
        if round.is_multiple_of(BATCH) {
            for given in round + 1 - BATCH..=round {
                let record = agent.wait_for(&format!("round-{given}"));
                assert_eq!(record["state"], "succeeded", "{record}\n{}", agent.log());
            }
        }
    }
    assert_eq!(
        miner.starts(),
        starts + KILLS / RESTART_EVERY,
        "{}",
        agent.log()
    );
    // Asked again with the ids of before, nothing more is done.
    for round in 1..=KILLS {
        publish(&broker, "restart", &command(round));
    }
    publish(&broker, "logs", r#"{"id":"the-last"}"#);
    agent.wait_for("the-last");
    assert_eq!(miner.starts(), starts + KILLS / RESTART_EVERY);
    assert!(agent.terminate().success());
}
