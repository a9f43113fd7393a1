//! The hardware monitors under `/sys/class/hwmon`.
//!
//! What the files mean is said in the kernel's `Documentation/hwmon/sysfs-interface.rst`: `name` is the
//! chip's, `tempN_input` and `tempN_crit` are in thousandths of a degree Celsius, `tempN_label` is what the
//! sensor measures, and a `tempN_fault` of 1 means that the measurement is not to be believed.

use std::path::Path;

use super::files::{self, ReadError, Root};
use super::list::numbered;
use super::temperature::{Chip, Temperature};

/// The monitors that measure a temperature, in natural order; none where the kernel has no hwmon class.
pub(super) fn chips(root: &Root) -> Result<Vec<Chip>, ReadError> {
    let class = root.path("sys/class/hwmon");
    let mut chips = Vec::new();
    for name in numbered(&class, "hwmon", "")? {
        let mut directory = class.join(&name);
        if !directory.join("name").exists() && directory.join("device/name").exists() {
            // Drivers that register without groups keep their files with the device.
            directory.push("device");
        }
        // A monitor that vanishes while it is listed has no sensors; the sample says that they are gone.
        let inputs = numbered(&directory, "temp", "_input").unwrap_or_default();
        let sensors = inputs
            .iter()
            .filter_map(|input| Some(format!("{name}/{}", input.strip_suffix("_input")?)))
            .collect();
        let read = move |sensors: Vec<String>| {
            let chip = files::label(&directory.join("name"));
            let one = |sensor| read(&directory, chip.as_deref(), sensor);
            sensors.into_iter().map(one).collect()
        };
        chips.push(Chip {
            name,
            sensors,
            read: Box::new(read),
        });
    }
    Ok(chips)
}

fn read(monitor: &Path, chip: Option<&str>, sensor: String) -> Temperature {
    let (name, temp) = sensor.split_once('/').unwrap_or((&sensor, ""));
    let file = |what| monitor.join(format!("{temp}_{what}"));
    let what = files::label(&file("label"));
    let label = format!(
        "{} {}",
        chip.unwrap_or(name),
        what.as_deref().unwrap_or(temp)
    );
    let measured = if files::number(&file("fault")).is_ok_and(|fault: i64| fault != 0) {
        Err("fault".to_owned())
    } else {
        files::number(&file("input")).map_err(|error| error.to_string())
    };
    let critical = files::number(&file("crit")).ok();
    Temperature::new(sensor, label, measured, critical)
}
