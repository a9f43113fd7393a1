use std::fs;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::Tree;
use crate::sensor::{MAX_SENSORS, Temperature, Temperatures};

/// One sample in which nothing as a whole fails.
fn sampled(temperatures: &mut Temperatures) -> Vec<Temperature> {
    let mut problems = Vec::new();
    let sample = temperatures.sample(&mut problems);
    assert_eq!(problems, []);
    sample
}

fn names(sample: &[Temperature]) -> Vec<&str> {
    sample.iter().map(|entry| entry.sensor.as_str()).collect()
}

fn measured(sensor: &str, label: &str, celsius: f64, critical: Option<f64>) -> Temperature {
    Temperature {
        sensor: sensor.into(),
        label: label.into(),
        celsius: Some(celsius),
        critical,
        error: None,
    }
}

#[test]
fn the_two_zones_of_a_bobcat_have_label_degrees_and_critical_limit() {
    let tree = Tree::bobcat();
    // What else is in the class is no zone.
    tree.file("sys/class/thermal/cooling_device0/type", "fan");
    assert_eq!(
        sampled(&mut tree.temperatures()),
        [
            measured("thermal_zone0", "soc-thermal", 38.0, Some(115.0)),
            measured("thermal_zone1", "gpu-thermal", 36.111, Some(115.0)),
        ]
    );
}

#[test]
fn a_monitor_has_its_name_its_labels_its_limits_and_its_faults() {
    let tree = Tree::new();
    for (file, content) in [
        ("name", "coretemp"),
        ("temp1_input", "41500"),
        ("temp1_label", "Core 0"),
        ("temp1_crit", "100000"),
        ("temp2_input", "-5250"),
        ("temp3_input", "12000"),
        ("temp3_fault", "1"),
        ("temp4_input", "13000"),
        ("temp4_fault", "0"),
        ("fan1_input", "900"),
    ] {
        tree.file(&format!("sys/class/hwmon/hwmon0/{file}"), content);
    }
    let sample = sampled(&mut tree.temperatures());
    assert_eq!(sample.len(), 4);
    assert_eq!(
        sample[0],
        measured("hwmon0/temp1", "coretemp Core 0", 41.5, Some(100.0))
    );
    assert_eq!(
        sample[1],
        measured("hwmon0/temp2", "coretemp temp2", -5.25, None)
    );
    assert_eq!(sample[2].celsius, None);
    assert_eq!(sample[2].error.as_deref(), Some("fault"));
    assert_eq!(
        sample[3],
        measured("hwmon0/temp4", "coretemp temp4", 13.0, None)
    );
}

#[test]
fn a_monitor_of_an_old_driver_keeps_its_files_with_the_device() {
    let tree = Tree::new();
    tree.file("sys/class/hwmon/hwmon0/device/name", "lm75");
    tree.file("sys/class/hwmon/hwmon0/device/temp1_input", "21000");
    assert_eq!(
        sampled(&mut tree.temperatures()),
        [measured("hwmon0/temp1", "lm75 temp1", 21.0, None)]
    );
}

#[test]
fn a_sensor_that_errors_says_so_and_the_others_are_read() {
    let tree = Tree::bobcat();
    tree.file("sys/class/hwmon/hwmon0/name", "nvme");
    tree.file("sys/class/hwmon/hwmon0/temp1_input", "N/A");
    // Reading a directory fails in read(2), as a driver's EIO does.
    tree.directory("sys/class/hwmon/hwmon0/temp2_input");
    tree.file("sys/class/hwmon/hwmon0/temp3_input", "");
    tree.file("sys/class/hwmon/hwmon0/temp4_input", "-274000");
    tree.file("sys/class/hwmon/hwmon0/temp5_input", "30850");
    tree.file("sys/class/hwmon/hwmon0/temp5_crit", "65261850");
    // A zone whose driver vanished in between: the directory stands, the files are gone.
    tree.directory("sys/class/thermal/thermal_zone2");

    let sample = sampled(&mut tree.temperatures());
    let errors: Vec<_> = sample
        .iter()
        .map(|entry| entry.error.as_deref().unwrap_or_default())
        .collect();
    assert_eq!(&errors[..2], ["", ""]);
    assert!(errors[2].contains("thermal_zone2/temp"), "{errors:?}");
    assert!(
        errors[3].ends_with("`N/A`, which is not a number"),
        "{errors:?}"
    );
    assert!(errors[4].contains("Is a directory"), "{errors:?}");
    assert!(errors[5].contains("not a number"), "{errors:?}");
    assert_eq!(errors[6], "measures what cannot be");
    assert!(sample[2..7].iter().all(|entry| entry.celsius.is_none()));
    // A limit that is none is left out, and the measurement stands.
    assert_eq!(
        sample[7],
        measured("hwmon0/temp5", "nvme temp5", 30.85, None)
    );
}

#[test]
fn the_lowest_critical_trip_point_counts_and_other_kinds_do_not() {
    let tree = Tree::new();
    let zone = "sys/class/thermal/thermal_zone0";
    tree.zone(0, "x86_pkg_temp", "50000");
    tree.file(&format!("{zone}/trip_point_2_type"), "critical");
    tree.file(&format!("{zone}/trip_point_2_temp"), "105000");
    tree.file(&format!("{zone}/trip_point_3_type"), "hot");
    tree.file(&format!("{zone}/trip_point_3_temp"), "60000");
    assert_eq!(sampled(&mut tree.temperatures())[0].critical, Some(105.0));
    tree.remove(zone);
    tree.file(&format!("{zone}/type"), "plain");
    tree.file(&format!("{zone}/temp"), "50000");
    assert_eq!(sampled(&mut tree.temperatures())[0].critical, None);
}

#[test]
fn zones_come_first_and_each_kind_in_natural_order() {
    let tree = Tree::new();
    for number in [10, 2, 0] {
        tree.zone(number, "zone", "20000");
    }
    for chip in [10, 9] {
        for input in [12, 3] {
            let file = format!("sys/class/hwmon/hwmon{chip}/temp{input}_input");
            tree.file(&file, "20000");
        }
    }
    assert_eq!(
        names(&sampled(&mut tree.temperatures())),
        [
            "thermal_zone0",
            "thermal_zone2",
            "thermal_zone10",
            "hwmon9/temp3",
            "hwmon9/temp12",
            "hwmon10/temp3",
            "hwmon10/temp12"
        ]
    );
}

#[test]
fn a_sensor_that_vanishes_is_gone_once() {
    let tree = Tree::bobcat();
    let mut temperatures = tree.temperatures();
    assert_eq!(sampled(&mut temperatures).len(), 2);

    tree.remove("sys/class/thermal/thermal_zone1");
    let after = sampled(&mut temperatures);
    assert_eq!(names(&after), ["thermal_zone0", "thermal_zone1"]);
    assert_eq!(after[0].error, None);
    assert_eq!(after[1].error.as_deref(), Some("gone"));
    assert_eq!(after[1].label, "gpu-thermal");
    assert_eq!(after[1].celsius, None);

    assert_eq!(names(&sampled(&mut temperatures)), ["thermal_zone0"]);

    tree.zone(1, "gpu-thermal", "36000");
    assert_eq!(sampled(&mut temperatures)[1].celsius, Some(36.0));
}

#[test]
fn sensors_past_the_limit_are_left_out_counted_and_not_called_gone() {
    let tree = Tree::new();
    for number in 1..=MAX_SENSORS + 2 {
        let file = format!("sys/class/hwmon/hwmon0/temp{number}_input");
        tree.file(&file, "20000");
    }
    let mut temperatures = tree.temperatures();
    // A zone that appears later takes the place of a monitor's sensor, which is still there.
    for zones in 0..2 {
        if zones == 1 {
            tree.zone(0, "soc-thermal", "38000");
        }
        let mut problems = Vec::new();
        let sample = temperatures.sample(&mut problems);
        assert_eq!(sample.len(), MAX_SENSORS);
        assert!(sample.iter().all(|entry| entry.error.is_none()));
        assert_eq!(problems.len(), 1);
        let expected = format!("{} sensors more than 64 are left out", 2 + zones);
        assert_eq!(problems[0].error, expected);
    }
}

#[test]
fn a_huge_or_binary_file_costs_no_more_than_its_cap() {
    let tree = Tree::bobcat();
    let zone = "sys/class/thermal/thermal_zone0";
    tree.file(&format!("{zone}/temp"), &"3".repeat(1_000_000));
    tree.file(&format!("{zone}/type"), &"\u{1b}[31mx".repeat(100_000));
    let sample = sampled(&mut tree.temperatures());
    assert!(sample[0].error.as_ref().unwrap().len() < 600);
    assert!(sample[0].label.len() <= 256);
    assert!(!sample[0].label.contains('\u{1b}'));
    assert_eq!(sample[1].celsius, Some(36.111));
}

#[test]
fn a_host_without_sensors_has_none_and_no_problem() {
    assert_eq!(sampled(&mut Tree::new().temperatures()), []);
}

#[test]
fn a_class_that_cannot_be_listed_is_a_problem_and_the_other_is_read() {
    let tree = Tree::bobcat();
    tree.file("sys/class/hwmon", "a file in place of the directory");
    let mut problems = Vec::new();
    assert_eq!(tree.temperatures().sample(&mut problems).len(), 2);
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].sensor, "hwmon");
}

/// Opening a fifo that nobody writes to blocks, as a read of a bad driver does.
#[test]
fn a_sensor_that_hangs_is_an_error_until_it_answers_again() {
    let tree = Tree::bobcat();
    let (temp, aside) = (
        tree.path("sys/class/thermal/thermal_zone0/temp"),
        tree.path("aside"),
    );
    let mut temperatures = Temperatures::new(tree.root(), Duration::from_secs(1));
    sampled(&mut temperatures);
    fs::remove_file(&temp).unwrap();
    mkfifo(&temp, Mode::S_IRWXU).unwrap();

    for _ in 0..3 {
        let sample = sampled(&mut temperatures);
        assert_eq!(names(&sample), ["thermal_zone0", "thermal_zone1"]);
        assert_eq!(sample[0].error.as_deref(), Some("does not answer"));
        assert_eq!(sample[0].label, "soc-thermal");
        assert_eq!(sample[1].celsius, Some(36.111));
    }

    fs::rename(&temp, &aside).unwrap();
    tree.file("sys/class/thermal/thermal_zone0/temp", "39000");
    let mut writer = fs::OpenOptions::new().write(true).open(&aside).unwrap();
    writer.write_all(b"99000\n").unwrap();
    drop(writer);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let sample = sampled(&mut temperatures);
        // Never the late answer to the question that hung.
        assert_ne!(sample[0].celsius, Some(99.0));
        if sample[0].celsius == Some(39.0) {
            break;
        }
        assert!(Instant::now() < deadline, "{sample:?}");
        thread::yield_now();
    }
}
