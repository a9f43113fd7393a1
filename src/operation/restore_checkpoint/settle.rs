//! Whether the validator gets on with its new state: up, and staying so past the time in which it would crash.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::operation::context::Did;
use crate::operation::workload::Workload;
use crate::protocol::{Failure, Part, Reason, RunState};
use crate::runtime::Inspection;

/// How often it is looked at, at most.
const PAUSE: Duration = Duration::from_millis(500);

/// How soon after a start it is looked at again.
const SOON: Duration = Duration::from_millis(100);

/// So often it may be restarted by its runtime before its state is held to be the cause. Twice can be anything.
const MOST_RESTARTS: u64 = 2;

/// How long it may be seen not to run between two restarts.
const AWAY: Duration = Duration::from_secs(30);

/// How long an app that was given up may be in the list from before: the updater makes it anew after its own start.
const OLD_NEWS: Duration = Duration::from_secs(20);

/// What was seen of a validator since it was started.
struct Watch<'a> {
    workload: &'a Workload,
    begun: Instant,
    run: Option<String>,
    parts: HashMap<String, u64>,
    restarts: u64,
}

impl<'a> Watch<'a> {
    fn new(workload: &'a Workload) -> Self {
        Self {
            workload,
            begun: Instant::now(),
            run: None,
            parts: HashMap::new(),
            restarts: 0,
        }
    }

    /// Looks at it: `None` is all well, else what is lacking. An error is that it crashes.
    async fn look(&mut self) -> Result<Option<String>, Failure> {
        let found = match self.workload.runtime.inspect().await {
            Ok(found) => found,
            Err(error) => return Ok(Some(error.to_string())),
        };
        self.count(&found);
        let lacking = lacking(&found);
        let given_up = found.state == RunState::Dead || found.parts.iter().any(|part| part.gave_up);
        let is_news = self.restarts > 0 || self.begun.elapsed() > OLD_NEWS;
        if self.restarts > MOST_RESTARTS || (given_up && is_news) {
            return Err(crashes(self.workload, lacking.as_deref()));
        }
        Ok(lacking)
    }

    /// Notes what was restarted since it was looked at last.
    fn count(&mut self, found: &Inspection) {
        if found.run.is_some() {
            self.restarts += u64::from(self.run.is_some() && self.run != found.run);
            self.run.clone_from(&found.run);
        }
        for part in &found.parts {
            let Some(now) = part.restarts else { continue };
            // One that was made anew counts from zero.
            let before = self.parts.insert(part.name.clone(), now).unwrap_or(now);
            self.restarts += now.saturating_sub(before);
        }
    }
}

/// What keeps it from being up; `None` where all of it runs.
fn lacking(found: &Inspection) -> Option<String> {
    let told = |name: &str, reason: &Option<String>, state: RunState| {
        let why = reason.as_deref().map(|why| format!(": {why}"));
        format!("{name} is {state}{}", why.unwrap_or_default())
    };
    if found.state != RunState::Running {
        return Some(told("it", &found.reason, found.state));
    }
    let is_away = |part: &&Part| part.state != RunState::Running;
    let part = found.parts.iter().find(is_away)?;
    Some(told(&part.name, &part.reason, part.state))
}

/// Waits until all of it runs and its probe finds nothing wrong; fails at once where it crashes again and again.
pub(super) async fn comes_up(workload: &Workload) -> Result<Did, Failure> {
    let mut watch = Watch::new(workload);
    let ready = workload.times().ready;
    loop {
        let Some(lacking) = watch.look().await? else {
            return Ok(Did::default());
        };
        if watch.begun.elapsed() + PAUSE > ready {
            let message = format!(
                "{} was started, but is not up within {} s: {lacking}. See its log: ostler logs {}",
                workload.name,
                ready.as_secs(),
                workload.name
            );
            return Err(Failure::new(Reason::NotReady, message));
        }
        // Each look starts a program of PM2's; most validators are up after the second one.
        sleep(PAUSE.min(SOON + watch.begun.elapsed() / 4)).await;
    }
}

/// Watches it until it has been up for `window` without being restarted.
pub(super) async fn stays_up(workload: &Workload, window: Duration) -> Result<Did, Failure> {
    let mut watch = Watch::new(workload);
    let (mut since, mut away) = (watch.begun, None);
    let pause = PAUSE.min(window / 4);
    loop {
        let before = watch.restarts;
        let lacking = watch.look().await?;
        let now = Instant::now();
        if watch.restarts > before {
            since = now;
        }
        match lacking {
            None => away = None,
            Some(lacking) => {
                since = now;
                if now - *away.get_or_insert(now) > AWAY {
                    return Err(crashes(workload, Some(&lacking)));
                }
            }
        }
        if now - since >= window {
            let after = match watch.restarts {
                0 => String::new(),
                more => format!(", after {more} restarts"),
            };
            return Ok(Did {
                changed: false,
                detail: Some(format!("up for {} s{after}", window.as_secs())),
            });
        }
        sleep(pause).await;
    }
}

fn crashes(workload: &Workload, why: Option<&str>) -> Failure {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let message = format!(
        "{} does not stay up on it{why}. See its log: ostler logs {}",
        workload.name, workload.name
    );
    Failure::new(Reason::NotReady, message)
}
