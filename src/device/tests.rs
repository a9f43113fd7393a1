use std::fs;
use std::process::Command;

use proptest::prelude::*;

use super::*;

const BOOT_ID: &str = "6f3f2a52-0a4e-4a43-9d0e-2f6a3b1c7d11";

/// A prepared tree with what every kernel has, and these files.
fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Root) {
    let directory = tempfile::tempdir().unwrap();
    let always = [
        ("proc/sys/kernel/osrelease", "5.10.66-rockchip\n"),
        ("proc/sys/kernel/random/boot_id", BOOT_ID),
    ];
    for (name, content) in always.iter().chain(files) {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        crate::durable::write(&path, content.as_bytes(), 0o644).unwrap();
    }
    let root = Root::at(directory.path());
    (directory, root)
}

fn id_of(files: &[(&str, &str)]) -> String {
    let (_directory, root) = tree(files);
    id(&root).as_str().to_owned()
}

#[test]
fn a_bobcat_is_told_by_its_device_tree() {
    let (_directory, root) = tree(&[
        ("proc/sys/kernel/hostname", "bobcat-300\n"),
        ("proc/device-tree/model", "Bobcat Miner 300 G290\0"),
        (
            "etc/os-release",
            "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n",
        ),
    ]);
    let device = Device::detect(&root).unwrap();
    assert_eq!(device.id.as_str(), "bobcat-300");
    assert_eq!(device.model.as_deref(), Some("Bobcat Miner 300 G290"));
    assert_eq!(device.os.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    assert_eq!(device.kernel, "5.10.66-rockchip");
    assert_eq!(device.boot_id, BOOT_ID);
    assert_eq!(device.architecture, std::env::consts::ARCH);
}

#[test]
fn a_pc_is_told_by_its_firmware_unless_nobody_filled_it_in() {
    let dmi = "sys/class/dmi/id/product_name";
    let (_directory, root) = tree(&[(dmi, "NUC10i3FNH\n")]);
    assert_eq!(model(&root).as_deref(), Some("NUC10i3FNH"));
    let (_directory, root) = tree(&[(dmi, "To Be Filled By O.E.M.\n")]);
    assert_eq!(model(&root), None);
}

#[test]
fn a_hostname_becomes_a_name_of_the_strict_alphabet() {
    for (hostname, expected) in [
        ("Bobcat.LAN\n", "bobcat-lan"),
        ("_x y_", "x-y"),
        ("miner_1", "miner_1"),
        ("../../etc/passwd", "etc-passwd"),
        (&"a".repeat(200), &"a".repeat(63)),
    ] {
        assert_eq!(id_of(&[("proc/sys/kernel/hostname", hostname)]), expected);
    }
}

#[test]
fn a_hostname_that_names_nobody_gives_way_to_a_hash_of_the_machine_id() {
    let machine_id = "0123456789abcdef0123456789abcdef";
    let of = |hostname| {
        id_of(&[
            ("proc/sys/kernel/hostname", hostname),
            ("etc/machine-id", machine_id),
        ])
    };
    let id = of("localhost\n");
    let hash = id.strip_prefix("ostler-").unwrap();
    assert!(
        hash.len() == 8 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{id}"
    );
    assert!(
        !machine_id.contains(hash),
        "the machine id itself is not shown"
    );
    for nobody in ["", "(none)", "localhost.localdomain", "LOCALHOST", "---"] {
        assert_eq!(of(nobody), id, "{nobody:?}");
    }
}

#[test]
fn without_a_machine_id_the_first_real_hardware_address_counts() {
    let net = |name: &str, file: &str| format!("sys/class/net/{name}/{file}");
    let mac = "2c:c3:e6:00:00:01";
    let with = |first: &str, other: &str| {
        id_of(&[
            ("etc/machine-id", "uninitialized\n"),
            (&net("eth0", "address"), first),
            (&net("eth0", "device/uevent"), ""),
            // A bridge gets a random address at every boot: it must not count.
            (&net("br0", "address"), other),
            (&net("br0", "bridge/bridge_id"), ""),
        ])
    };
    let id = with(mac, "02:42:00:00:00:01");
    assert_eq!(id, with(mac, "02:42:99:99:99:99"));
    assert_ne!(id, with("2c:c3:e6:00:00:02", "02:42:00:00:00:01"));
    assert_eq!(
        with("00:00:00:00:00:00", "02:42:00:00:00:01"),
        "ostler-unnamed"
    );
    assert_eq!(id_of(&[]), "ostler-unnamed");
}

#[test]
fn the_pretty_name_is_read_as_a_shell_would() {
    for (line, expected) in [
        ("PRETTY_NAME=Alpine", Some("Alpine")),
        ("PRETTY_NAME='balenaOS 5.1'", Some("balenaOS 5.1")),
        (r#"PRETTY_NAME="a \"b\" \$c""#, Some(r#"a "b" $c"#)),
        ("PRETTY_NAME=\"\"", None),
        ("NAME=Debian", None),
    ] {
        let (_directory, root) = tree(&[("usr/lib/os-release", line)]);
        assert_eq!(os(&root).as_deref(), expected, "{line}");
    }
}

#[test]
fn a_host_that_hides_its_boot_id_is_an_error_that_names_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let root = Root::at(directory.path());
    let error = boot_id(&root).unwrap_err().to_string();
    assert!(error.contains("proc/sys/kernel/random/boot_id"), "{error}");
    assert!(Device::detect(&root).is_err());
}

#[test]
fn this_host_is_described_as_uname_does() {
    let device = Device::detect(&Root::default()).unwrap();
    let uname = |option| {
        let asked = Command::new("uname").arg(option).output().unwrap();
        String::from_utf8(asked.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(device.kernel, uname("--kernel-release"));
    assert_eq!(device.architecture, uname("--machine"));
    assert_eq!(device.boot_id.len(), 36);
    assert!(device.addresses.len() <= MAX_ADDRESSES);
    assert!(device.addresses.iter().all(|ip| is_reachable(*ip)));
}

#[test]
fn loopback_and_link_local_addresses_are_left_out() {
    for (address, told) in [
        ("192.168.1.20", true),
        ("fd00::1", true),
        ("127.0.0.1", false),
        ("::1", false),
        ("169.254.3.4", false),
        ("fe80::1", false),
        ("0.0.0.0", false),
    ] {
        assert_eq!(is_reachable(address.parse().unwrap()), told, "{address}");
    }
}

proptest! {
    #[test]
    fn whatever_the_hostname_the_id_is_of_the_alphabet(hostname in "\\PC{0,100}") {
        if let Some(name) = sanitised(&hostname) {
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
            prop_assert!((1..=63).contains(&name.len()));
            prop_assert!(plain(name.as_bytes()[0]), "{}", name);
            prop_assert!(name.bytes().all(|byte| plain(byte) || b"_-".contains(&byte)), "{}", name);
            prop_assert!(Name::new(name).is_ok());
        }
    }
}
