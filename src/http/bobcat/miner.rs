//! `/miner.json`: all that is known of the miner, in its own words where it has said something.

use serde::Serialize;

use super::Settings;
use super::ports::Ports;
use super::stamp::{created, stamp, up};
use super::temperature::Temperatures;
use super::view::{Phase, View, tokens};
use crate::clock::Timestamp;
use crate::workload::helium::Answer;

/// Part of the answer, as the stock device has it.
const PORTS_DESC: &str = "only need to port forward 44158. For 22, only when need remote support. public port open/close \
                          isn't accurate here, if your listen_addr is IP address, it should be OK";

/// How much of an answer about the region is shown, in characters.
const REGION: usize = 15;

/// The body, in this order.
#[derive(Debug, Serialize)]
pub(super) struct Miner {
    ota_version: String,
    region: String,
    frequency_plan: String,
    animal: String,
    pubkey: String,
    miner: Container,
    #[serde(skip_serializing_if = "Option::is_none")]
    miner_alert: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    miner_desc: Option<&'static str>,
    p2p_status: Option<Vec<String>>,
    miner_height: String,
    epoch: String,
    ports_desc: &'static str,
    ports: Ports,
    private_ip: String,
    public_ip: String,
    peerbook: Option<Vec<String>>,
    height: Option<Vec<String>>,
    temp0: String,
    temp1: String,
    timestamp: String,
    errors: String,
}

/// Of Docker's list of containers.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    state: &'static str,
    status: String,
    names: Option<Vec<String>>,
    image: String,
    created: i64,
}

impl Miner {
    pub fn of(
        view: &View,
        settings: &Settings,
        ports: Ports,
        temperatures: &Temperatures,
        now: Timestamp,
    ) -> Self {
        let observation = &view.observation;
        let hidden = is_hidden(view);
        let lines = |answer: &Answer| match hidden {
            true => None,
            false => lines(answer, is_well(view.phase)),
        };
        let (miner_height, epoch) = match hidden {
            true => (String::new(), String::new()),
            false => heights(view),
        };
        let known = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            ota_version: settings.ota_version.clone(),
            region: match &observation.region {
                Answer::Said(said) if !hidden => region(&said.text),
                _ => String::new(),
            },
            frequency_plan: observation
                .last_region
                .clone()
                .or_else(|| settings.frequency_plan.clone())
                .unwrap_or_default(),
            animal: known(&observation.identity.animal),
            pubkey: known(&observation.identity.public_key),
            miner: container(view, now),
            miner_alert: alert(view),
            miner_desc: is_rebuilt(view).then_some("Resyncing / Loading snapshot"),
            p2p_status: lines(&observation.p2p_status),
            miner_height,
            epoch,
            ports_desc: PORTS_DESC,
            private_ip: ports.private(),
            public_ip: ports.public(),
            ports: match view.phase == Phase::GoingDown && !view.runs() {
                true => ports.closed(),
                false => ports,
            },
            peerbook: lines(&observation.peer_book),
            height: lines(&observation.height),
            temp0: temperatures.zero(),
            temp1: temperatures.one(),
            timestamp: stamp(now),
            errors: errors(view),
        }
    }
}

/// Whether the data is being replaced, or got.
fn is_rebuilt(view: &View) -> bool {
    matches!(view.phase, Phase::Resyncing(_)) || view.busy
}

/// Whether there is no container to speak of.
fn is_gone(view: &View) -> bool {
    view.phase == Phase::Gone || (view.phase == Phase::GoingDown && !view.runs())
}

/// Whether what the miner has said is of no account: it is not there, it is being made anew, or it says nothing now.
fn is_hidden(view: &View) -> bool {
    is_rebuilt(view) || is_gone(view) || view.is_cut_off() || view.phase == Phase::Loading
}

fn is_well(phase: Phase) -> bool {
    matches!(phase, Phase::Synced | Phase::Syncing | Phase::NoChainHeight)
}

fn is_incomplete(view: &View) -> bool {
    matches!(view.phase, Phase::Loading | Phase::Silent)
        || (is_well(view.phase) && view.observation.is_incomplete())
}

fn alert(view: &View) -> Option<&'static str> {
    if is_rebuilt(view) || is_gone(view) {
        return Some("alert");
    }
    is_incomplete(view).then_some("warn")
}

fn errors(view: &View) -> String {
    if is_rebuilt(view) {
        return String::new();
    }
    if is_gone(view) {
        return "    miner error".to_owned();
    }
    if !is_incomplete(view) {
        return String::new();
    }
    let instance = view
        .report
        .as_ref()
        .and_then(|report| report.instance.as_deref());
    format!(
        "failed to get peer book. Post \"http://%2Fvar%2Frun%2Fdocker.sock/v1.37/containers/{}/exec\": \
         context deadline exceeded",
        instance.unwrap_or_default()
    )
}

fn container(view: &View, now: Timestamp) -> Container {
    let Some(report) = view
        .report
        .as_ref()
        .filter(|_| !is_rebuilt(view) && !is_gone(view))
    else {
        return Container::default();
    };
    // `docker miner`: what runs it, and by which name.
    let name = report.runtime.rsplit(' ').next().unwrap_or_default();
    Container {
        state: "running",
        status: up(report.started_at.as_deref(), now),
        names: Some(vec![format!("/{name}")]),
        image: report.image.clone().unwrap_or_default(),
        created: created(report.created_at.as_deref()),
    }
}

/// The lines of an answer; a well miner of which a thing cannot be asked has none of it.
fn lines(answer: &Answer, well: bool) -> Option<Vec<String>> {
    match answer {
        Answer::Said(said) => Some(
            said.text
                .split('\n')
                .map(|line| line.trim_end_matches('\r').replace('\t', "  "))
                .collect(),
        ),
        Answer::Unasked if well => Some(Vec::new()),
        Answer::Unasked | Answer::Late(_) | Answer::Failed(_) => None,
    }
}

fn heights(view: &View) -> (String, String) {
    match (view.observation.heights, tokens(&view.observation.height)) {
        (Some(heights), _) => (heights.height.to_string(), heights.epoch.to_string()),
        (None, Some((first, last))) => (last.to_owned(), first.to_owned()),
        (None, None) => (String::new(), String::new()),
    }
}

/// `region_us915`, or the beginning of an error.
fn region(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default().trim();
    line.chars()
        .take(REGION)
        .flat_map(char::to_lowercase)
        .collect()
}
