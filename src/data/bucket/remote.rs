//! What is asked of rclone, verb by verb, with paths below the bucket's place.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::super::control::Control;
use super::super::error::Error;
use super::rclone::{Call, Ended, Rclone};

/// rclone's exit codes for what is not there (<https://rclone.org/docs/#exit-code>).
const NO_DIRECTORY: i32 = 3;
const NO_FILE: i32 = 4;

/// The place in the bucket, and rclone to get there.
#[derive(Debug)]
pub(super) struct Remote {
    rclone: Rclone,
    /// Without a slash at its end.
    root: String,
}

/// What passes in one call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of the largest.
    pub largest: u64,
}

impl Load {
    pub fn add(&mut self, size: u64) {
        self.bytes += size;
        self.largest = self.largest.max(size);
    }
}

/// What a comparison has shown.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Files that are not there, or not the same there.
    pub different: Vec<String>,
    /// By which hash; `size` where there is none in common.
    pub by: String,
}

impl Remote {
    pub fn new(rclone: Rclone, place: &str) -> Result<Self, Error> {
        check(place).map_err(|problem| Error::BadName {
            what: "place of a bucket",
            shown: place.chars().take(200).collect(),
            problem,
        })?;
        Ok(Self {
            rclone,
            root: place.trim_end_matches('/').to_owned(),
        })
    }

    /// The whole name of what is at `path`; nothing is the place itself.
    pub fn at(&self, path: &str) -> String {
        match path {
            "" => self.root.clone(),
            _ if self.root.ends_with(':') => format!("{}{path}", self.root),
            _ => format!("{}/{path}", self.root),
        }
    }

    /// Every file below `directory` with its size; none where there is no such directory.
    pub fn list(
        &self,
        directory: &str,
        depth: Option<u32>,
        control: &mut Control,
    ) -> Result<HashMap<String, u64>, Error> {
        let add = |files: &mut HashMap<String, u64>, path: &str, size| {
            files.insert(path.to_owned(), size);
        };
        self.list_into(directory, depth, control, HashMap::new(), add)
    }

    /// The same, given to `add` one by one: of a hundred thousand files the text alone is large.
    pub fn list_into<T: Default + Send + 'static>(
        &self,
        directory: &str,
        depth: Option<u32>,
        control: &mut Control,
        mut files: T,
        add: impl Fn(&mut T, &str, u64) + Send + 'static,
    ) -> Result<T, Error> {
        let place = self.at(directory);
        let mut arguments = words(&["lsf", "-R", "--files-only", "--format=sp", "--separator= "]);
        arguments.extend(depth.map(|depth| format!("--max-depth={depth}").into()));
        arguments.push(place.clone().into());
        let call = call("list", &place, arguments);
        let read = move |pipe: &mut dyn Read| {
            lines(pipe, &mut |line| {
                let file = line.split_once(' ');
                if let Some((Ok(size), path)) = file.map(|(size, path)| (size.parse(), path)) {
                    add(&mut files, path, size);
                }
            });
            files
        };
        let listed = self.there(call, control, read)?;
        Ok(listed.unwrap_or_default())
    }

    /// Sends everything below `from`, whatever is there already. Symbolic links are followed.
    pub fn send(
        &self,
        from: &Path,
        to: &str,
        load: Load,
        control: &mut Control,
    ) -> Result<(), Error> {
        let place = self.at(to);
        let mut arguments = words(&["copy", "--copy-links", "--no-check-dest"]);
        arguments.extend([from.as_os_str().to_owned(), place.clone().into()]);
        let call = Call {
            bytes: load.bytes,
            largest: load.largest,
            counts: true,
            ..call("send to", &place, arguments)
        };
        self.done(call, control).map(drop)
    }

    /// Fetches the files that `list` names, one a line, from `directory` into `to`.
    pub fn fetch(
        &self,
        directory: &str,
        list: &Path,
        to: &Path,
        load: Load,
        control: &mut Control,
    ) -> Result<(), Error> {
        let place = self.at(directory);
        let mut arguments = words(&["copy", "--no-check-dest", "--no-traverse"]);
        arguments.extend(["--files-from-raw".into(), list.as_os_str().to_owned()]);
        arguments.extend([place.clone().into(), to.as_os_str().to_owned()]);
        let call = Call {
            bytes: load.bytes,
            largest: load.largest,
            counts: true,
            ..call("fetch from", &place, arguments)
        };
        self.done(call, control).map(drop)
    }

    /// Makes the files below `to` that match `pattern` the same as those in the bucket.
    pub fn mirror(&self, pattern: &str, to: &Path, control: &mut Control) -> Result<(), Error> {
        let place = self.at("");
        let mut arguments = words(&["sync", "--retries=1", "--include", pattern]);
        arguments.extend([place.clone().into(), to.as_os_str().to_owned()]);
        let there = self.there(call("read", &place, arguments), control, |_| ())?;
        if there.is_none() {
            // Nothing was ever published there, so nothing of an earlier place may be left here.
            super::super::tree::remove(to, control)?;
            super::desk::make(to)?;
        }
        Ok(())
    }

    /// Compares what is below `from` with what is in the bucket; what else is there does not count.
    pub fn compare(
        &self,
        from: &Path,
        to: &str,
        load: Load,
        control: &mut Control,
    ) -> Result<Compared, Error> {
        let place = self.at(to);
        let mut arguments = words(&["check", "--copy-links", "--one-way", "--combined=-"]);
        arguments.push("--log-level=INFO".into());
        arguments.extend([from.as_os_str().to_owned(), place.clone().into()]);
        let call = Call {
            largest: load.largest,
            bytes: load.bytes,
            ..call("compare with", &place, arguments)
        };
        let read = |pipe: &mut dyn Read| {
            let (mut different, mut same) = (Vec::new(), 0);
            lines(pipe, &mut |line| match line.split_once(' ') {
                Some(("=", _)) => same += 1,
                Some(("+" | "*", path)) => different.push(path.to_owned()),
                // `!`: it could not be compared.
                _ => {}
            });
            (different, same)
        };
        let (ended, (different, same)) = self.rclone.run_reading(call, control, read)?;
        let judged = match (ended.code, different.is_empty()) {
            (0, true) => same > 0,
            (1, false) => true,
            _ => false,
        };
        if !judged {
            return Err(ended.failed());
        }
        Ok(Compared {
            different,
            by: ended.compared_by.unwrap_or_else(|| "size".to_owned()),
        })
    }

    /// The content of a file; `None` where it is not there.
    pub fn read(&self, path: &str, control: &mut Control) -> Result<Option<Vec<u8>>, Error> {
        self.there(self.cat(path), control, |pipe| {
            let mut content = Vec::new();
            // What could be read is what is judged.
            let _ = pipe.read_to_end(&mut content);
            content
        })
    }

    /// The hash of a file's content, which may be long.
    fn hash(&self, path: &str, control: &mut Control) -> Result<Option<blake3::Hash>, Error> {
        self.there(self.cat(path), control, |pipe| hash(pipe).ok())
            .map(Option::flatten)
    }

    fn cat(&self, path: &str) -> Call {
        // `cat` of what is not there says so; a listing of what is in a directory of a bucket may not.
        let place = self.at(path);
        let mut arguments = words(&["cat", "--retries=1"]);
        arguments.push(place.clone().into());
        call("read", &place, arguments)
    }

    /// Writes a file: under another name first, read back, and then moved to its own.
    pub fn publish(&self, from: &Path, path: &str, control: &mut Control) -> Result<(), Error> {
        let written = format!("{path}.partial");
        let place = self.at(&written);
        let mut arguments = words(&["copyto", "--no-check-dest"]);
        arguments.extend([from.as_os_str().to_owned(), place.clone().into()]);
        self.done(call("write", &place, arguments), control)?;
        let content = std::fs::File::open(from).and_then(|mut file| hash(&mut file));
        let content = content.map_err(Error::io("read", from))?;
        if self.hash(&written, control)? != Some(content) {
            return Err(Error::Remote {
                action: "read back",
                remote: place,
                detail: "it is not what was written".to_owned(),
            });
        }
        self.rename(&written, path, control)
    }

    /// Gives a file another name.
    pub fn rename(&self, from: &str, to: &str, control: &mut Control) -> Result<(), Error> {
        let place = self.at(to);
        let mut arguments = words(&["moveto", "--ignore-times"]);
        arguments.extend([self.at(from).into(), place.clone().into()]);
        self.done(call("rename to", &place, arguments), control)
            .map(drop)
    }

    /// Removes a file.
    pub fn remove(&self, path: &str, control: &mut Control) -> Result<(), Error> {
        let place = self.at(path);
        let arguments = vec!["deletefile".into(), place.clone().into()];
        self.there(call("remove", &place, arguments), control, |_| ())
            .map(drop)
    }

    /// Removes the files below `directory` that `list` names, one a line.
    pub fn remove_all(
        &self,
        directory: &str,
        list: &Path,
        control: &mut Control,
    ) -> Result<(), Error> {
        let place = self.at(directory);
        let mut arguments = words(&["delete", "--no-traverse", "--files-from-raw"]);
        arguments.extend([list.as_os_str().to_owned(), place.clone().into()]);
        self.done(call("remove from", &place, arguments), control)
            .map(drop)
    }

    /// Removes a directory with everything in it.
    pub fn purge(&self, directory: &str, control: &mut Control) -> Result<(), Error> {
        let place = self.at(directory);
        let arguments = vec!["purge".into(), place.clone().into()];
        self.there(call("remove", &place, arguments), control, |_| ())
            .map(drop)
    }

    /// Runs what must succeed.
    fn done(&self, call: Call, control: &mut Control) -> Result<Ended, Error> {
        let (ended, _) = self.rclone.run(call, control)?;
        match ended.code {
            0 => Ok(ended),
            _ => Err(ended.failed()),
        }
    }

    /// Runs what may meet that nothing is there; gives what `read` makes of what it writes.
    fn there<T: Send + 'static>(
        &self,
        call: Call,
        control: &mut Control,
        read: impl FnOnce(&mut dyn Read) -> T + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let (ended, output) = self.rclone.run_reading(call, control, read)?;
        match ended.code {
            0 => Ok(Some(output)),
            NO_DIRECTORY | NO_FILE => Ok(None),
            _ => Err(ended.failed()),
        }
    }
}

fn call(action: &'static str, about: &str, arguments: Vec<OsString>) -> Call {
    Call {
        action,
        about: about.to_owned(),
        arguments,
        ..Call::default()
    }
}

/// Gives each line to `take`. What could be read is what is judged.
fn lines(pipe: &mut dyn Read, take: &mut dyn FnMut(&str)) {
    let mut reader = BufReader::new(pipe);
    let mut line = Vec::new();
    while reader
        .read_until(b'\n', &mut line)
        .is_ok_and(|read| read > 0)
    {
        take(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']));
        line.clear();
    }
}

fn hash(from: &mut dyn Read) -> io::Result<blake3::Hash> {
    let mut hasher = blake3::Hasher::new();
    io::copy(from, &mut hasher)?;
    Ok(hasher.finalize())
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

/// What is wrong with the name of a place, if anything.
///
/// It must not be a flag, nor a remote with settings in its name: they may be secrets, and belong into rclone's file.
pub fn check(place: &str) -> Result<(), &'static str> {
    if place.chars().any(char::is_control) {
        return Err("it has a control character");
    }
    if place.split('/').any(|part| part == "..") {
        return Err("it has a component `..`");
    }
    if place.starts_with('/') {
        return match place.trim_end_matches('/') {
            "" => Err("it is the root directory"),
            _ => Ok(()),
        };
    }
    let Some((remote, path)) = place.split_once(':') else {
        return Err("write `remote:path`, with a remote of rclone's configuration file");
    };
    let allowed = |c: char| c.is_alphanumeric() || "_-. +@".contains(c);
    if remote.is_empty() || remote.starts_with(['-', ' ']) || !remote.chars().all(allowed) {
        return Err("the name before `:` must be that of a remote in rclone's configuration file");
    }
    match path.trim_matches('/') {
        "" => Err("it names no bucket or directory after `:`"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn a_place_is_a_remote_with_a_path_or_an_absolute_path() {
        for good in ["snapshot:harmony-snapshot/testnet", "a b:c", "/mnt/stick"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "/",
            "relative",
            "s3:",
            "s3:/",
            ":s3,access_key_id=x:bucket",
            "s3,secret_access_key=x:bucket",
            "--config:x",
            "s3:a/../b",
            "/mnt/../etc",
            "s3:a\nb",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
