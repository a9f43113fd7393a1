//! Temperatures: every thermal zone and every temperature of a hardware monitor.
//!
//! A sensor that fails, vanishes or hangs is an entry with an error, and costs the others nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::files::{ReadError, Root};
use super::patience::Patience;
use super::{Problem, hwmon, zone};

/// How many sensors one sample holds; those past it are left out, and counted.
pub const MAX_SENSORS: usize = 64;

/// What one sensor says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Temperature {
    /// Where the kernel keeps it: `thermal_zone0`, `hwmon1/temp2`.
    pub sensor: String,
    /// What the kernel calls it: `soc-thermal`, `coretemp Core 0`.
    pub label: String,
    /// What it measures, in degrees Celsius.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub celsius: Option<f64>,
    /// Where the hardware is in danger, in degrees Celsius, if the kernel knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
    /// Why there is no measurement; `gone` once, for a sensor that vanished since the sample before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Temperature {
    /// The entry of a sensor from what reading it gave, in thousandths of a degree.
    pub(super) fn new(
        sensor: String,
        label: String,
        measured: Result<i64, String>,
        critical: Option<i64>,
    ) -> Self {
        let (celsius, error) = match measured.map(degrees) {
            Ok(Some(celsius)) => (Some(celsius), None),
            Ok(None) => (None, Some("measures what cannot be".to_owned())),
            Err(error) => (None, Some(error)),
        };
        Self {
            sensor,
            label,
            celsius,
            critical: critical.and_then(degrees),
            error,
        }
    }

    fn failed(sensor: String, label: String, error: String) -> Self {
        Self::new(sensor, label, Err(error), None)
    }
}

/// Thousandths of a degree as degrees; `None` for what is no temperature. Drivers say -274000 for "not
/// available" (`THERMAL_TEMP_INVALID` of the kernel), and some say 65261850 for a limit that is not set.
fn degrees(thousandths: i64) -> Option<f64> {
    (-273_150..1_000_000)
        .contains(&thousandths)
        .then(|| thousandths as f64 / 1000.0)
}

/// What is read at one go: a thermal zone, or a hardware monitor with all its temperatures. A driver that
/// hangs, hangs for all of its own sensors and for nobody else's.
pub(super) struct Chip {
    /// `thermal_zone0`, `hwmon1`.
    pub name: String,
    /// The ids of its sensors, in order.
    pub sensors: Vec<String>,
    /// Reads the sensors that are named, in their order.
    pub read: Box<dyn FnOnce(Vec<String>) -> Vec<Temperature> + Send>,
}

/// All temperatures, and what the sample before knew of them.
pub struct Temperatures {
    root: Root,
    patience: Patience<Vec<Temperature>>,
    /// The label of each sensor of the last sample, by its id.
    known: BTreeMap<String, String>,
}

impl Temperatures {
    /// The sensors under `root`; one that has not answered after `patience` counts as hanging.
    pub fn new(root: Root, patience: Duration) -> Self {
        Self {
            root,
            patience: Patience::new(patience),
            known: BTreeMap::new(),
        }
    }

    /// Reads all of them: the zones first, then the monitors, each in natural order, then those that are gone.
    pub fn sample(&mut self, problems: &mut Vec<Problem>) -> Vec<Temperature> {
        let chips = found(zone::chips(&self.root), "thermal", problems).chain(found(
            hwmon::chips(&self.root),
            "hwmon",
            problems,
        ));
        let mut chips: Vec<_> = chips.collect();
        let present: BTreeSet<String> = chips
            .iter()
            .flat_map(|chip| chip.sensors.iter().cloned())
            .collect();
        let left_out = limit(&mut chips);
        if left_out > 0 {
            problems.push(Problem::new(
                "temperatures",
                format!("{left_out} sensors more than {MAX_SENSORS} are left out"),
            ));
        }
        let mut sampled = self.read(chips);
        let gone = self.gone(&present);
        self.known = sampled
            .iter()
            .map(|temperature| (temperature.sensor.clone(), temperature.label.clone()))
            .collect();
        sampled.extend(gone);
        sampled
    }

    fn read(&mut self, chips: Vec<Chip>) -> Vec<Temperature> {
        let mut sensors = Vec::new();
        let questions = chips
            .into_iter()
            .map(
                |Chip {
                     name,
                     sensors: ids,
                     read,
                 }| {
                    sensors.push(ids.clone());
                    (name, Box::new(move || read(ids)) as Box<_>)
                },
            )
            .collect();
        let answers = self.patience.ask(questions);
        let known = &self.known;
        answers
            .into_iter()
            .zip(sensors)
            .flat_map(|((_, answer), sensors)| {
                answer.unwrap_or_else(|silence| {
                    let entry = |sensor: String| {
                        let label = known.get(&sensor).unwrap_or(&sensor).clone();
                        Temperature::failed(sensor, label, silence.to_string())
                    };
                    sensors.into_iter().map(entry).collect()
                })
            })
            .collect()
    }

    /// The sensors that the sample before had and the kernel has no more.
    fn gone(&self, present: &BTreeSet<String>) -> Vec<Temperature> {
        self.known
            .iter()
            .filter(|(sensor, _)| !present.contains(*sensor))
            .map(|(sensor, label)| {
                Temperature::failed(sensor.clone(), label.clone(), "gone".to_owned())
            })
            .collect()
    }
}

/// The chips of one class; none, and a problem noted, where the class cannot be listed.
fn found(
    chips: Result<Vec<Chip>, ReadError>,
    class: &str,
    problems: &mut Vec<Problem>,
) -> impl Iterator<Item = Chip> + use<> {
    chips
        .unwrap_or_else(|error| {
            problems.push(Problem::new(class, error.to_string()));
            Vec::new()
        })
        .into_iter()
}

/// Cuts the sensors past [`MAX_SENSORS`] and says how many they were.
fn limit(chips: &mut Vec<Chip>) -> usize {
    let mut room = MAX_SENSORS;
    let mut left_out = 0;
    for chip in chips.iter_mut() {
        let kept = chip.sensors.len().min(room);
        left_out += chip.sensors.len() - kept;
        chip.sensors.truncate(kept);
        room -= kept;
    }
    chips.retain(|chip| !chip.sensors.is_empty());
    left_out
}
