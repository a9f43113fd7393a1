//! Directories that are not what they usually are.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::PathBuf;
use std::process::Command;

use ostler::protocol::State;

use super::house::{House, MINER, OTHER};
use super::kill::strike;

const NOBODY: u32 = 65534;

pub fn is_root() -> bool {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("SKIPPED: root is needed");
    }
    root
}

/// A mounted filesystem; unmounted when dropped.
pub struct Mount(PathBuf);

impl Mount {
    pub fn tmpfs(at: PathBuf, options: &str) -> Self {
        fs::create_dir_all(&at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]);
        let status = mount.arg(&at).status().unwrap();
        assert!(status.success());
        Self(at)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_mounted_tree_is_exchanged_entry_by_entry_and_survives_kills() {
    if !is_root() {
        return;
    }
    let house = House::new("tiny");
    let _mount = Mount::tmpfs(house.path("ptn/validation"), "size=32m");
    house.move_in("tiny");
    let device = fs::metadata(house.path("ptn/validation")).unwrap().dev();
    let (undone, finished) = strike(&house, 11);
    assert!(undone > 2 && finished > 2, "{undone} {finished}");
    let now = fs::metadata(house.path("ptn/validation")).unwrap().dev();
    assert_eq!(device, now, "it is mounted still");
    assert!(house.is_new());
    // The backup is in the mount, where a rename reaches, and `backups` leads to it.
    let name = house.backups().pop().unwrap();
    let link = fs::read_link(house.path("ptn/backups").join(&name)).unwrap();
    assert_eq!(
        link,
        house.path("ptn/validation/.ostler-backups").join(name)
    );
}

#[test]
fn a_linked_tree_on_another_disk_keeps_its_backup_there() {
    if !is_root() {
        return;
    }
    let house = House::new("tiny");
    let _mount = Mount::tmpfs(house.path("disk"), "size=32m");
    let old = house.picture("ptn/validation");
    fs::remove_dir_all(house.path("ptn/validation")).unwrap();
    fs::create_dir(house.path("disk/validation")).unwrap();
    std::os::unix::fs::symlink(house.path("disk/validation"), house.path("ptn/validation"))
        .unwrap();
    house.reset(&old);
    assert_eq!(house.run().state, State::Succeeded);
    assert!(house.path("ptn/validation").is_symlink() && house.is_new());
    let name = house.backups().pop().unwrap();
    assert_eq!(house.picture(&format!("ptn/backups/{name}")), old);
    assert!(house.path("disk/.ostler-backups").join(name).is_dir());
}

#[test]
fn a_directory_of_somebody_else_does_not_stop_an_agent_that_is_not_root() {
    if !is_root() {
        return;
    }
    let house = House::new("tiny");
    let all = house.path("");
    let status = Command::new("chown")
        .args(["-R", &format!("{NOBODY}:{NOBODY}")])
        .arg(&all)
        .status()
        .unwrap();
    assert!(status.success());
    let foreign = house.path(&format!("ptn/validation/miners/{OTHER}"));
    chown(&foreign, Some(0), Some(0)).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    let record = house.run_as(Some(NOBODY));
    assert_eq!(record.state, State::Succeeded, "{record:?}");
    assert!(house.is_new() && house.runs());
    let position = house.path(&format!("ptn/validation/miners/{MINER}"));
    assert_eq!(fs::metadata(position).unwrap().uid(), NOBODY);
    // The old tree went as a whole, with what nobody but root can look into.
    let name = house.backups().pop().unwrap();
    let kept = house.path(&format!("ptn/backups/{name}/miners/{OTHER}"));
    assert_eq!(fs::metadata(kept).unwrap().uid(), 0);
}

#[test]
fn what_cannot_be_taken_over_is_found_before_the_validator_is_stopped() {
    if !is_root() {
        return;
    }
    let house = House::new("tiny");
    let status = Command::new("chown")
        .args(["-R", &format!("{NOBODY}:{NOBODY}")])
        .arg(house.path(""))
        .status()
        .unwrap();
    assert!(status.success());
    let foreign = house.path("ptn/validation/outputs");
    chown(&foreign, Some(0), Some(0)).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o700)).unwrap();
    let record = house.run_as(Some(NOBODY));
    assert_eq!(record.state, State::Failed, "{record:?}");
    let message = &record.failure.as_ref().unwrap().message;
    assert!(message.contains("validation/outputs"), "{message}");
    assert!(record.step("stop").is_none() && !house.is_new() && house.runs());
    house.assert_swept("foreign");
}

#[test]
fn the_tree_of_another_user_stays_theirs() {
    if !is_root() {
        return;
    }
    let house = House::new("tiny");
    let tree = house.path("ptn/validation");
    chown(&tree, Some(NOBODY), Some(NOBODY)).unwrap();
    fs::set_permissions(&tree, fs::Permissions::from_mode(0o750)).unwrap();
    assert_eq!(house.run().state, State::Succeeded);
    for (name, mode) in [
        ("", 0o750),
        ("miners", 0o750),
        ("eliminations.json", 0o640),
        ("departed_hotkeys.json", 0o640),
    ] {
        let found = fs::metadata(tree.join(name)).unwrap();
        let what = (found.uid(), found.gid(), found.mode() & 0o777);
        assert_eq!(what, (NOBODY, NOBODY, mode), "{name}");
    }
}
