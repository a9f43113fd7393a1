//! The thermal zones under `/sys/class/thermal`.
//!
//! What the files mean is said in the kernel's `Documentation/driver-api/thermal/sysfs-api.rst`: `type` is
//! the zone's name, `temp` and `trip_point_N_temp` are in thousandths of a degree Celsius, and a trip
//! point's type is one of `critical`, `hot`, `passive`, `active`.

use std::path::Path;

use super::files::{self, ReadError, Root, SHORT};
use super::list::numbered;
use super::temperature::{Chip, Temperature};

/// A zone has rarely more than twelve trip points, which was the kernel's own limit until Linux 6.11.
const MAX_TRIP_POINTS: u32 = 32;

/// The zones, in natural order; none where the kernel has no thermal class.
pub(super) fn chips(root: &Root) -> Result<Vec<Chip>, ReadError> {
    let class = root.path("sys/class/thermal");
    let zones = numbered(&class, "thermal_zone", "")?;
    Ok(zones
        .into_iter()
        .map(|name| {
            let directory = class.join(&name);
            Chip {
                sensors: vec![name.clone()],
                read: Box::new(move |sensors| {
                    let one = |sensor| read(&directory, sensor);
                    sensors.into_iter().map(one).collect()
                }),
                name,
            }
        })
        .collect())
}

fn read(zone: &Path, sensor: String) -> Temperature {
    let label = files::label(&zone.join("type")).unwrap_or_else(|| sensor.clone());
    let measured = files::number(&zone.join("temp")).map_err(|error| error.to_string());
    Temperature::new(sensor, label, measured, critical(zone))
}

/// The lowest of the critical trip points.
fn critical(zone: &Path) -> Option<i64> {
    (0..MAX_TRIP_POINTS)
        .map_while(|point| {
            let kind = files::text(&zone.join(format!("trip_point_{point}_type")), SHORT).ok()?;
            Some((point, kind))
        })
        .filter(|(_, kind)| kind == "critical")
        .filter_map(|(point, _)| files::number(&zone.join(format!("trip_point_{point}_temp"))).ok())
        .min()
}
