//! The validator's own script, run in a copy of its tree: for a release whose layout is not known here.
//!
//! The copy is made beside the live tree and belongs to the user that runs the validator, and so does the script: it
//! can do what the validator can, and what it does to the copy reaches the live tree only after it was examined.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, Uid, geteuid};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::judge::Judged;
use super::place::Place;
use super::staging::Maker;
use crate::checkpoint::{COMPRESSED_NAME, Owner, PLAIN_NAME, Packing, Rules, examine};
use crate::data::tree::{self, Node, Tree};
use crate::data::{Control, Error, RelativePath, place};
use crate::operation::arguments::RestoreCheckpoint;
use crate::operation::context::{Context, Did};
use crate::operation::labour::Limits;
use crate::operation::validator::Validator;
use crate::protocol::{Failure, Reason};
use crate::runtime::as_user::{self, Leash};

const SCRIPT: &str = "restore_validator_from_backup.py";

/// What is not code: state, backups, downloads, the history.
const LEFT_OUT: [&str; 7] = [
    "validation",
    "backups",
    ".git",
    "node_modules",
    PLAIN_NAME,
    COMPRESSED_NAME,
    "__pycache__",
];

/// The code of 7.1.1 has 25 MB.
const MOST_CODE: u64 = 1 << 30;

/// The end of what the script says is what matters.
const MOST_OUTPUT: usize = 8 * 1024;

/// Its values are the script's business; names are not.
pub(super) fn rules(asked: &RestoreCheckpoint) -> Rules {
    Rules {
        only_names: true,
        older_than_disk: asked.force,
        missing_sections: true,
        ..Rules::default()
    }
}

/// Copies the code, runs the script in the copy, and examines what it has written.
pub(super) async fn run(
    context: &mut Context,
    validator: &Validator,
    place: &Place,
    judged: Judged,
) -> Result<Maker, Failure> {
    let copy = place.upstream();
    let owner = place.owner(validator)?;
    let made = attempt(context, validator, &copy, owner, judged).await;
    if made.is_err() {
        // Best effort: the next run removes what is left.
        let _ = tree::discard(&copy, &mut Control::unlimited());
    }
    made
}

async fn attempt(
    context: &mut Context,
    validator: &Validator,
    copy: &Path,
    owner: Owner,
    judged: Judged,
) -> Result<Maker, Failure> {
    let (repository, into) = (validator.directory.clone(), copy.to_owned());
    let (file, packing) = (
        judged.checkpoint.path().to_owned(),
        judged.checkpoint.packing(),
    );
    let work = move |control: &mut Control| {
        let bytes = copy_code(&repository, &into, &owner, control)?;
        let name = match packing {
            Packing::Gzip => COMPRESSED_NAME,
            Packing::Plain => PLAIN_NAME,
        };
        let to = into.join(name);
        place::copy(&file, &to, None, None, control)?;
        hand_over(&to, &owner, 0o600)?;
        // Last of all: until then nobody else gets into it.
        hand_over(&into, &owner, 0o700)?;
        let did = Did {
            changed: false,
            detail: Some(format!("{bytes} bytes of code")),
        };
        Ok(((), did))
    };
    let cancelled = context.cancelled.clone();
    context
        .labour_until("copy the code", Limits::default(), cancelled, work)
        .await?;
    let said = execute(validator, copy, owner);
    context.step("run the script", said).await?;

    let (tree, report) = (copy.join("validation"), judged.report);
    let wanted = report.summary.names;
    let examined = tree.clone();
    let work = move |_: &mut Control| {
        let written = examine(&examined, &wanted).map_err(|why| {
            let message = format!(
                "what {SCRIPT} has written is not the checkpoint: {why}. Nothing was changed. (That of 8.8.9 writes \
                 to tests/validation; this release can be restored without it)"
            );
            Failure::new(Reason::Unsound, message)
        })?;
        Ok((written, Did::default()))
    };
    let never = tokio_util::sync::CancellationToken::new();
    let written = context
        .labour_that_tells("examine", Limits::default(), never, work)
        .await?;
    Ok(Maker::Script(tree, super::whole(written)?))
}

/// Copies the repository without its state, and without virtual environments, which need not be copied to be used.
fn copy_code(
    repository: &Path,
    into: &Path,
    owner: &Owner,
    control: &mut Control,
) -> Result<u64, Error> {
    tree::discard(into, control)?;
    let skip = |path: &RelativePath| {
        let is_top = path.parent().is_some_and(|parent| parent.is_root());
        let named = LEFT_OUT.contains(&path.name()) && (is_top || path.name() == "__pycache__");
        named || path.below(repository).join("pyvenv.cfg").exists()
    };
    let code = Tree::walk(repository, &skip, control)?;
    let bytes: u64 = code
        .entries
        .iter()
        .filter(|entry| entry.node == Node::File)
        .map(|entry| entry.identity.size)
        .sum();
    if bytes > MOST_CODE {
        return Err(Error::Place {
            path: repository.to_owned(),
            problem: "it holds more than 1 GiB beside its state: too much for a copy of code",
        });
    }
    crate::data::space::require(repository, bytes, code.entries.len() as u64)?;
    for entry in &code.entries {
        let to = entry.path.below(into);
        match &entry.node {
            Node::Directory => {
                DirBuilder::new()
                    .mode(0o700)
                    .create(&to)
                    .map_err(Error::io("create", &to))?;
                if !entry.path.is_root() {
                    hand_over(&to, owner, 0o700)?;
                }
            }
            Node::Symlink(target) => place::symlink(target, &to, &entry.attributes)?,
            Node::File => {
                let from = entry.path.below(repository);
                place::copy(&from, &to, None, Some(&entry.attributes), control)?;
                hand_over(&to, owner, entry.attributes.mode | 0o600)?;
            }
        }
    }
    Ok(bytes)
}

/// Gives away what is there itself: another user may put a link in its place.
fn hand_over(path: &Path, owner: &Owner, mode: u32) -> Result<(), Error> {
    let file = fs::OpenOptions::new()
        .read(true)
        .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
        .open(path)
        .map_err(Error::io("open", path))?;
    if owner.uid.is_some() {
        fchown(&file, owner.uid, owner.gid).map_err(Error::io("set owner of", path))?;
    }
    let mode = fs::Permissions::from_mode(mode & 0o7777);
    file.set_permissions(mode)
        .map_err(Error::io("set mode of", path))
}

/// Runs the script as the validator's user; its word is not believed, but a failure is.
async fn execute(validator: &Validator, copy: &Path, owner: Owner) -> Result<Did, Failure> {
    let python = python(validator);
    let mut command = Command::new(&python);
    command
        .arg(SCRIPT)
        .current_dir(copy)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", copy)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(uid) = owner.uid {
        command.uid(uid).gid(owner.gid.unwrap_or(uid));
    }
    let failed = |why: String| {
        let message = format!("{} {SCRIPT}: {why}", python.display());
        Failure::new(Reason::DataFailed, message)
    };
    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let group = child.id().and_then(|pid| i32::try_from(pid).ok());
    let user = owner.uid.map_or_else(geteuid, Uid::from_raw);
    let leash = Leash::new(user, child.id());
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(tail(out), tail(err), child.wait()) };
    let ended = timeout(validator.script.patience, all).await;
    // What it has left running must not write to the tree that is examined.
    if let Some(group) = group {
        as_user::signal(user, &[Pid::from_raw(-group)], Signal::SIGKILL);
    }
    if ended.is_ok() {
        leash.slip();
    }
    let (out, err, status) = ended.map_err(|_| {
        let patience = validator.script.patience.as_secs();
        let message = format!("{SCRIPT} was ended: it took more than {patience} s");
        Failure::new(Reason::OutOfTime, message)
    })?;
    let status = status.map_err(|error| failed(error.to_string()))?;
    let last = |text: &str| {
        let lines = text.lines().rev().filter(|line| !line.trim().is_empty());
        lines.take(3).collect::<Vec<_>>().join(" / ")
    };
    if !status.success() {
        return Err(failed(format!("{status}: {}", last(&err))));
    }
    Ok(Did {
        changed: false,
        detail: Some(last(&out)),
    })
}

fn python(validator: &Validator) -> PathBuf {
    if let Some(python) = &validator.script.python {
        return python.clone();
    }
    let own = validator.directory.join("venv/bin/python3");
    match own.exists() {
        true => own,
        false => PathBuf::from("python3"),
    }
}

/// The end of what a program says, without control characters.
async fn tail(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else {
        return String::new();
    };
    let (mut kept, mut piece) = (Vec::new(), vec![0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut piece).await {
        kept.extend_from_slice(&piece[..count]);
        let surplus = kept.len().saturating_sub(MOST_OUTPUT);
        kept.drain(..surplus);
    }
    let text = String::from_utf8_lossy(&kept);
    let plain = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    text.chars().map(plain).collect()
}
