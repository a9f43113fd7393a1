//! `/temp.json`: two temperatures, of the zones 0 and 1, in whole degrees.

use serde::Serialize;

use super::stamp::stamp;
use crate::clock::Timestamp;
use crate::protocol::Telemetry;
use crate::sensor::Temperature;

/// The body, in this order; there are tools that take no key beside these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Temperatures {
    timestamp: String,
    temp0: i64,
    temp1: i64,
    unit: &'static str,
}

impl Temperatures {
    /// The last sample's. A host without these zones shows what else it measures, and without any sensor, zero.
    pub fn of(telemetry: Option<&Telemetry>, now: Timestamp) -> Self {
        let sensors = telemetry.map_or(&[][..], |telemetry| &telemetry.sample.temperatures);
        let first = zone(sensors, "thermal_zone0")
            .or_else(|| sensors.iter().find_map(|sensor| sensor.celsius));
        let second = zone(sensors, "thermal_zone1").or(first);
        let whole = |celsius: Option<f64>| celsius.unwrap_or_default().round() as i64;
        Self {
            timestamp: stamp(telemetry.map_or(now, |telemetry| telemetry.at)),
            temp0: whole(first),
            temp1: whole(second),
            unit: "°C",
        }
    }

    /// `38 °C`.
    pub fn zero(&self) -> String {
        format!("{} {}", self.temp0, self.unit)
    }

    /// The second, in the same way.
    pub fn one(&self) -> String {
        format!("{} {}", self.temp1, self.unit)
    }
}

fn zone(sensors: &[Temperature], name: &str) -> Option<f64> {
    let zone = sensors.iter().find(|sensor| sensor.sensor == name);
    zone.and_then(|zone| zone.celsius)
}
