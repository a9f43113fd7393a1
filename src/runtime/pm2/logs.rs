//! The end of the apps' logs, through the files that PM2 names.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::list::Entry;
use super::{Error, Pm2, daemon, state};
use crate::runtime::tail::last;

/// Enough for anybody to read.
const LINES: usize = 2000;

impl Pm2 {
    /// The ends of all logs of its apps, one after the other, each under its name; the last app of the configuration comes
    /// last. They share the bytes.
    pub(super) async fn tail(&self, lines: usize, bytes: usize) -> Result<String, Error> {
        let house = self.house()?;
        let all = match daemon::is_there(&house).await? {
            true => house.list().await?,
            false => {
                let saved = house.look(daemon::saved).await?;
                saved.ok_or_else(|| house.no_daemon())?
            }
        };
        let selected = state::select(&self.settings.apps, &all);
        let files: Vec<(String, PathBuf)> = selected
            .iter()
            .flat_map(|(_, entries)| entries)
            .flat_map(|entry| files(entry))
            .map(|(title, path)| (title, path.to_owned()))
            .collect();
        if files.is_empty() {
            return Err(self.missing(&house, &self.settings.apps[0]));
        }
        let lines = lines.min(LINES);
        let uid = house.account.uid.as_raw();
        let share = bytes / files.len();
        let mut text = String::new();
        for (title, path) in files {
            let head = format!("==> {title} <==\n");
            let room = share.saturating_sub(head.len() + 1);
            let end = house.look(move |_| match end_of(&path, uid, lines, room) {
                Ok(end) => end,
                Err(error) => format!("({}: {error})", path.display()),
            });
            let end = end.await?;
            text.push_str(&head);
            text.push_str(last(&end, room));
            if !text.ends_with('\n') {
                text.push('\n');
            }
        }
        Ok(last(&text, bytes).to_owned())
    }
}

/// The logs of an app: what it writes, and its errors, which may go into the same file.
fn files(entry: &Entry) -> Vec<(String, &Path)> {
    let name = entry.shown();
    let (out, err) = (entry.out_log.as_deref(), entry.err_log.as_deref());
    let mut files = Vec::new();
    files.extend(
        err.filter(|err| Some(*err) != out)
            .map(|err| (format!("{name}: errors"), err)),
    );
    files.extend(out.map(|out| (format!("{name}: output"), out)));
    files
}

/// The last lines of a file that the user owns: PM2 names it by what the user said, and it may lead anywhere.
fn end_of(path: &Path, uid: u32, lines: usize, bytes: usize) -> std::io::Result<String> {
    let mut file = open(path, uid)?;
    let length = file.metadata()?.len();
    // One byte more tells whether the first line that is kept is a whole one.
    let most = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(1);
    file.seek(SeekFrom::Start(length.saturating_sub(most)))?;
    let mut text = Vec::new();
    file.take(most).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let text = last(&text, bytes);
    let count = text.lines().count();
    Ok(text
        .split_inclusive('\n')
        .skip(count.saturating_sub(lines))
        .collect())
}

/// Opens a plain file of that user's; a pipe does not hold it up, and a file of somebody else's is not read.
fn open(path: &Path, uid: u32) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let about = file.metadata()?;
    match about.is_file() && about.uid() == uid {
        true => Ok(file),
        false => Err(std::io::Error::other(
            "it is no file of that user's, and not read",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_last_lines_are_read_and_only_of_the_users_own_files() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("out.log");
        let mut file = File::create(&path).unwrap();
        for line in 0..1000 {
            writeln!(file, "line {line}").unwrap();
        }
        let uid = nix::unistd::geteuid().as_raw();
        assert_eq!(end_of(&path, uid, 2, 1000).unwrap(), "line 998\nline 999\n");
        assert_eq!(end_of(&path, uid, 100, 12).unwrap(), "line 999\n");
        assert_eq!(end_of(&path, uid, 0, 100).unwrap(), "");
        assert!(end_of(&path, uid + 1, 2, 1000).is_err());
        assert!(end_of(directory.path(), uid, 2, 1000).is_err());
        let pipe = directory.path().join("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert!(end_of(&pipe, uid, 2, 1000).is_err());
    }
}
