use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::Tree;
use crate::sensor::{MAX_INTERFACES, Root, Sample, Sensors, host, network};

fn with_host(tree: &Tree) {
    for (file, content) in [
        ("proc/loadavg", "0.52 0.58 1.59 2/345 6789"),
        ("proc/uptime", "86461.93 170000.00"),
        (
            "proc/meminfo",
            "MemTotal:        2030492 kB\nMemFree:          100000 kB\nMemAvailable:    1500000 kB\n\
             SwapTotal:        524284 kB\nSwapFree:         524280 kB",
        ),
        ("sys/devices/system/cpu/online", "0-3"),
        (
            "proc/self/mountinfo",
            "22 1 179:2 / / rw - ext4 /dev/mmcblk0p2 rw",
        ),
        ("sys/class/net/lo/type", "772"),
        ("sys/class/net/bonding_masters", ""),
    ] {
        tree.file(file, content);
    }
    interface(tree, "docker0", "down", ("7", "8"));
    interface(tree, "wg0", "unknown", ("5", "6"));
    interface(tree, "eth0", "up", ("18446744073709551615", "2"));
    tree.directory("sys/class/net/eth0/device");
}

fn interface(tree: &Tree, name: &str, state: &str, (rx, tx): (&str, &str)) {
    let directory = format!("sys/class/net/{name}");
    for (file, content) in [
        ("type", "1"),
        ("operstate", state),
        ("flags", "0x1003"),
        ("statistics/rx_bytes", rx),
        ("statistics/tx_bytes", tx),
    ] {
        tree.file(&format!("{directory}/{file}"), content);
    }
}

#[test]
fn a_sample_is_plain_json_without_what_is_absent() {
    let tree = Tree::bobcat();
    with_host(&tree);
    let sample = Sensors::new(tree.root(), []).sample();
    let mut shown = serde_json::to_value(&sample).unwrap();
    // The disk and the clock are the real ones.
    assert_eq!(shown["disks"][0]["paths"], json!(["/"]));
    let object = shown.as_object_mut().unwrap();
    object.remove("disks");
    assert!(object.remove("clock_synced").unwrap().is_boolean());
    assert_eq!(
        shown,
        json!({
            "temperatures": [
                { "sensor": "thermal_zone0", "label": "soc-thermal", "celsius": 38.0, "critical": 115.0 },
                { "sensor": "thermal_zone1", "label": "gpu-thermal", "celsius": 36.111, "critical": 115.0 },
            ],
            "load": { "one": 0.52, "five": 0.58, "fifteen": 1.59, "cpus": 4 },
            "memory": {
                "total": 2_030_492_u64 * 1024, "available": 1_500_000_u64 * 1024,
                "swap_total": 524_284 * 1024, "swap_free": 524_280 * 1024,
            },
            "networks": [
                { "name": "eth0", "up": true, "rx_bytes": u64::MAX, "tx_bytes": 2 },
                { "name": "docker0", "up": false, "rx_bytes": 7, "tx_bytes": 8 },
                { "name": "wg0", "up": true, "rx_bytes": 5, "tx_bytes": 6 },
            ],
            "uptime_s": 86461,
        })
    );
    let text = serde_json::to_string(&sample).unwrap();
    assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample);
}

#[test]
fn what_fails_is_named_and_the_rest_is_read() {
    let tree = Tree::bobcat();
    with_host(&tree);
    tree.file("proc/loadavg", "busy");
    tree.file("proc/meminfo", "MemTotal: much");
    fs::remove_file(tree.path("proc/uptime")).unwrap();
    tree.file("sys/class/net/eth0/statistics/tx_bytes", "?");
    let sample = Sensors::new(tree.root(), [PathBuf::from("/missing/data")]).sample();

    let problems: Vec<_> = sample.problems.iter().map(|p| p.sensor.as_str()).collect();
    assert_eq!(problems, ["load", "memory", "uptime"]);
    assert!(sample.problems[2].error.contains("proc/uptime"));
    assert_eq!(
        (sample.load, sample.memory, sample.uptime_s),
        (None, None, None)
    );
    assert_eq!(sample.temperatures.len(), 2);
    assert_eq!(sample.networks.len(), 3);
    assert_eq!(sample.networks[0].rx_bytes, Some(u64::MAX));
    assert_eq!(sample.networks[0].tx_bytes, None);
    assert!(
        sample.networks[0]
            .error
            .as_ref()
            .unwrap()
            .contains("tx_bytes")
    );
    assert_eq!(sample.disks[1].paths, ["/missing/data"]);
    assert!(sample.disks[1].error.is_some());
}

#[test]
fn memory_that_an_old_kernel_does_not_estimate_is_estimated() {
    let tree = Tree::new();
    let table =
        "MemTotal: 1000 kB\nMemFree: 100 kB\nBuffers: 20 kB\nCached: 3 kB\nSwapCached: 9 kB";
    tree.file("proc/meminfo", table);
    let memory = host::memory(&tree.root()).unwrap();
    assert_eq!(memory.available, 123 * 1024);
    assert_eq!((memory.swap_total, memory.swap_free), (0, 0));
}

#[test]
fn processors_are_counted_from_ranges() {
    let tree = Tree::new();
    tree.file("proc/loadavg", "0 0 0");
    for (online, cpus) in [
        ("0", Some(1)),
        ("0-3,6,8-9", Some(7)),
        ("3-0", None),
        ("0-4294967295", None),
        ("", None),
    ] {
        tree.file("sys/devices/system/cpu/online", online);
        assert_eq!(host::load(&tree.root()).unwrap().cpus, cpus, "{online}");
    }
}

#[test]
fn interfaces_past_the_limit_are_counted_and_hardware_stays() {
    let tree = Tree::new();
    for number in 0..MAX_INTERFACES + 4 {
        interface(&tree, &format!("br-{number}"), "up", ("1", "1"));
    }
    interface(&tree, "wlan0", "up", ("1", "1"));
    tree.directory("sys/class/net/wlan0/device");
    let mut problems = Vec::new();
    let networks = network::sample(&tree.root(), &mut problems);
    assert_eq!(networks.len(), MAX_INTERFACES);
    assert_eq!(networks[0].name, "wlan0");
    assert!(
        problems[0].error.starts_with("5 interfaces"),
        "{problems:?}"
    );
}

#[test]
fn the_real_host_is_sampled_without_a_problem() {
    let state = tempfile::tempdir().unwrap();
    let mut sensors = Sensors::new(Root::default(), [state.path().to_owned()]);
    let sample = sensors.sample();
    assert_eq!(sample.problems, []);
    let memory = sample.memory.unwrap();
    assert!(memory.total > 0 && memory.available <= memory.total);
    assert!(sample.load.unwrap().cpus.unwrap() > 0);
    assert!(sample.uptime_s.unwrap() > 0);
    let paths: Vec<_> = sample.disks.iter().flat_map(|disk| &disk.paths).collect();
    assert!(paths.iter().any(|path| Path::new(path) == state.path()));
}
