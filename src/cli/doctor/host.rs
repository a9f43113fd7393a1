//! The host: who it is, its clock, its temperatures, its disks.

use super::Check;
use crate::blocking::spawn_blocking;
use crate::config::Config;
use crate::device::Device;
use crate::sensor::{Disk, Root, Sample, Sensors};

/// Below this, the journal and a snapshot's manifest may not fit.
const LITTLE: u64 = 16 * 1024 * 1024;

/// Below this, an update or a pulled image may not fit.
const NOT_MUCH: u64 = 256 * 1024 * 1024;

/// Every file that is made needs one.
const FEW_INODES: u64 = 1000;

/// What the host says of itself.
pub(super) async fn checks(config: &Config) -> Vec<Check> {
    // A directory that is not there yet is told of by the check that it belongs to.
    let mut directories = vec![config.state_dir.clone()];
    for workload in &config.workload {
        directories.extend(workload.data_dir.clone());
        directories.extend(workload.snapshot.store.clone());
    }
    directories.retain(|directory| directory.is_dir());
    let asked = spawn_blocking(move || {
        let sample = Sensors::new(Root::default(), directories).sample();
        (Device::detect(&Root::default()), sample)
    });
    let (device, sample) = match asked.await {
        Ok(answers) => answers,
        Err(error) => {
            return vec![Check::fail(
                "host",
                error.to_string(),
                "report this as a fault of ostler",
            )];
        }
    };
    let mut checks = vec![match device {
        Ok(device) => Check::ok("host", describe(&device)),
        Err(error) => Check::fail("host", error.to_string(), "mount /proc"),
    }];
    checks.push(clock(&sample));
    checks.push(temperatures(&sample));
    checks.extend(sample.disks.iter().map(disk));
    checks
}

fn describe(device: &Device) -> String {
    let model = device.model.as_deref().unwrap_or("unknown model");
    let os = device.os.as_deref().unwrap_or("unknown system");
    let Device {
        id,
        kernel,
        architecture,
        ..
    } = device;
    format!("{id}: {model}, {os}, Linux {kernel} on {architecture}")
}

fn clock(sample: &Sample) -> Check {
    match sample.clock_synced {
        true => Check::ok("clock", "synchronised"),
        false => Check::warn(
            "clock",
            "not synchronised: times in reports may be wrong, and no command expires",
            "let systemd-timesyncd or chrony run, and let it reach a time server",
        ),
    }
}

fn temperatures(sample: &Sample) -> Check {
    const NAME: &str = "temperatures";
    let known: Vec<_> = sample
        .temperatures
        .iter()
        .filter_map(|sensor| Some((sensor, sensor.celsius?)))
        .collect();
    let count = known.len();
    let critical = known
        .iter()
        .filter_map(|&(sensor, celsius)| Some((sensor, celsius, sensor.critical?)))
        .find(|&(_, celsius, critical)| celsius >= critical);
    if let Some((sensor, celsius, critical)) = critical {
        let message = format!(
            "{count} sensors, {} at {celsius:.1} °C; {critical:.1} °C is critical",
            sensor.label
        );
        let advice = "cool the device: clean its fan, free its vents";
        return Check::fail(NAME, message, advice);
    }
    match known.iter().max_by(|one, other| one.1.total_cmp(&other.1)) {
        None => Check::ok(NAME, "no sensor: usual on a virtual machine"),
        Some((hottest, celsius)) => {
            let hottest = &hottest.label;
            let message = format!("{count} sensors, the hottest {hottest} at {celsius:.1} °C");
            Check::ok(NAME, message)
        }
    }
}

fn disk(disk: &Disk) -> Check {
    const NAME: &str = "disk";
    let place = disk
        .mount_point
        .clone()
        .unwrap_or_else(|| disk.paths.join(", "));
    if let Some(error) = &disk.error {
        return Check::fail(
            NAME,
            format!("{place}: {error}"),
            "check the disk and how it is mounted",
        );
    }
    if disk.read_only == Some(true) {
        let advice = "see why (dmesg); a filesystem with errors is made read-only by the kernel";
        return Check::fail(NAME, format!("{place} is read-only"), advice);
    }
    let available = disk.available.unwrap_or(u64::MAX);
    let inodes = disk.inodes_free.unwrap_or(u64::MAX);
    let message = format!("{place}: {} MiB free", available / (1024 * 1024));
    match () {
        () if inodes < FEW_INODES => Check::fail(
            NAME,
            format!("{place}: only {inodes} more files can be made"),
            "remove what is not needed: many small files",
        ),
        () if available < LITTLE => Check::fail(
            NAME,
            message,
            "make room: what the agent has to remember does not fit",
        ),
        () if available < NOT_MUCH => Check::warn(NAME, message, "make room before it is full"),
        () => Check::ok(NAME, message),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::sensor::Temperature;

    fn verdict(change: impl FnOnce(&mut Disk)) -> Verdict {
        let mut filesystem = Disk {
            available: Some(NOT_MUCH),
            inodes_free: Some(FEW_INODES),
            read_only: Some(false),
            ..Disk::default()
        };
        change(&mut filesystem);
        disk(&filesystem).verdict
    }

    #[test]
    fn a_disk_is_judged_by_what_can_still_be_written() {
        assert_eq!(verdict(|_| {}), Verdict::Ok);
        assert_eq!(verdict(|disk| disk.inodes_free = None), Verdict::Ok);
        assert_eq!(
            verdict(|disk| disk.available = Some(NOT_MUCH - 1)),
            Verdict::Warn
        );
        assert_eq!(
            verdict(|disk| disk.available = Some(LITTLE - 1)),
            Verdict::Fail
        );
        assert_eq!(verdict(|disk| disk.inodes_free = Some(0)), Verdict::Fail);
        assert_eq!(verdict(|disk| disk.read_only = Some(true)), Verdict::Fail);
        assert_eq!(
            verdict(|disk| disk.error = Some("gone".into())),
            Verdict::Fail
        );
    }

    #[test]
    fn a_clock_that_nobody_keeps_right_is_told_of() {
        let mut sample = Sample {
            clock_synced: true,
            ..Sample::default()
        };
        assert_eq!(clock(&sample).verdict, Verdict::Ok);
        sample.clock_synced = false;
        let check = clock(&sample);
        assert_eq!(check.verdict, Verdict::Warn);
        assert!(check.advice.unwrap().contains("chrony"));
    }

    #[test]
    fn a_sensor_fails_from_what_it_calls_critical_itself_though_another_one_be_hotter() {
        let sensor = |label: &str, celsius, critical| Temperature {
            label: label.to_owned(),
            celsius: Some(celsius),
            critical: Some(critical),
            ..Temperature::default()
        };
        let mut sample = Sample {
            temperatures: vec![sensor("cpu", 89.9, 100.0), sensor("board", 59.9, 60.0)],
            ..Sample::default()
        };
        let check = temperatures(&sample);
        assert_eq!(check.verdict, Verdict::Ok);
        assert!(
            check.message.contains("the hottest cpu at 89.9"),
            "{check:?}"
        );
        sample.temperatures[1].celsius = Some(60.0);
        let check = temperatures(&sample);
        assert_eq!(check.verdict, Verdict::Fail);
        assert!(check.message.contains("board at 60.0"), "{check:?}");
        assert!(check.advice.unwrap().contains("cool"));
        sample.temperatures.clear();
        assert_eq!(temperatures(&sample).verdict, Verdict::Ok);
    }
}
