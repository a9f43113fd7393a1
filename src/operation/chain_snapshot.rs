//! Where a `fastsync` has its snapshot from, and how it comes to where the miner sees it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::timeout;

use super::arguments;
use super::context::{Context, Did, cancelled};
use super::exchanging::LOOK;
use super::fastsync::{chain, not_newer};
use super::labour::{Limits, failure_of};
use super::snapshot::whole;
use super::snapshots::Snapshots;
use crate::blocking::spawn_blocking;
use crate::data::{Control, space, tree, unpack};
use crate::protocol::{Failure, Progress, Reason};
use crate::web::{self, Url};

/// What is being downloaded or copied; below the miner's data, and no part of any snapshot of ours by its name.
const ARRIVING: &str = ".ostler-fastsync.part";
/// What has come, as the miner loads it.
const ARRIVED: &str = ".ostler-fastsync";

/// The largest description of a snapshot.
const DESCRIPTION: usize = 64 * 1024;
/// How long a description may take.
const ASK: Duration = Duration::from_secs(30);

/// A snapshot of the chain, before it is here.
pub(super) enum Source {
    /// A file on this host.
    File { path: PathBuf, height: Option<u64> },
    /// One of these, the first that is there; they differ in how they are packed.
    Web { urls: Vec<Url>, height: Option<u64> },
}

impl Source {
    /// Its height, where it is known before it is here.
    pub fn height(&self) -> Option<u64> {
        match self {
            Source::File { height, .. } | Source::Web { height, .. } => *height,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File { path, .. } => path.display().fmt(f),
            Source::Web { urls, .. } => match urls.first() {
                Some(url) => url.fmt(f),
                None => Ok(()),
            },
        }
    }
}

/// What describes the newest snapshot; there are other keys, which are not needed.
#[derive(Deserialize)]
struct Description {
    height: u64,
}

/// A snapshot on this host.
pub(super) struct Fetched {
    /// Where it is.
    pub path: PathBuf,
}

/// The snapshot that was asked for, the configured one, or the newest of the miner's own; one that is not newer is
/// refused as soon as that is known.
pub(super) async fn find(
    context: &mut Context,
    plan: &Snapshots,
    asked: arguments::Fastsync,
    local: u64,
) -> Result<Source, Failure> {
    let workload = context.workload.clone();
    let chain = chain(&workload)?;
    let bad = |key: &str, why: String| {
        Failure::new(
            Reason::BadArguments,
            format!("the arguments of `fastsync`: {key}: {why}"),
        )
    };
    let source = match (asked.file, asked.url) {
        (Some(path), _) => {
            if !path.is_absolute() {
                return Err(bad("file", format!("{} is not absolute", path.display())));
            }
            if !look(&path, Path::is_file).await? {
                let hint = super::unseen::hint(&path);
                return Err(bad("file", format!("{} is not a file of this host{hint}", path.display())));
            }
            let name = path.file_name().and_then(|name| name.to_str());
            let height = name.and_then(|name| chain.height_by_name(name));
            Source::File { path, height }
        }
        (None, Some(url)) => on_the_web(url.parse().map_err(|why| bad("url", why))?, chain).await?,
        (None, None) => match chain.source() {
            Some(url) => on_the_web(url.clone(), chain).await?,
            None => newest_own(plan, chain, local).await?.ok_or_else(|| {
                let message = format!(
                    "{} has no snapshot of its chain beyond its own height {local}: say where there is one (--url, --file), or \
                     set `snapshot-url` in its [workload.helium]",
                    workload.name
                );
                Failure::new(Reason::NotPossible, message)
            })?,
        },
    };
    match source.height() {
        Some(height) if height <= local => Err(not_newer(height, local)),
        _ => Ok(source),
    }
}

/// A snapshot, or where the address ends in `.json` the one that is described there.
async fn on_the_web(
    url: Url,
    chain: &dyn crate::workload::ChainSnapshots,
) -> Result<Source, Failure> {
    let path = url.path().split('?').next().unwrap_or_default();
    if !path.ends_with(".json") {
        let name = path.rsplit('/').next().unwrap_or_default();
        let height = chain.height_by_name(name.trim_end_matches(".gz"));
        return Ok(Source::Web {
            urls: vec![url],
            height,
        });
    }
    let answer = web::get(&url, DESCRIPTION, ASK)
        .await
        .map_err(|error| Failure::new(Reason::NotReady, error.to_string()))?;
    let described: Description = serde_json::from_slice(&answer).map_err(|error| {
        let message = format!("{url} does not describe a snapshot: {error}");
        Failure::new(Reason::Damaged, message)
    })?;
    let name = chain.file_name(described.height);
    let beside = |name: String| -> Option<Url> {
        let (directory, _) = url.path().rsplit_once('/')?;
        url.join(&format!("{directory}/{name}")).ok()
    };
    let urls = [format!("{name}.gz"), name];
    Ok(Source::Web {
        urls: urls.into_iter().filter_map(beside).collect(),
        height: Some(described.height),
    })
}

/// The newest of those that the miner has itself, taken or downloaded earlier.
async fn newest_own(
    plan: &Snapshots,
    chain: &dyn crate::workload::ChainSnapshots,
    local: u64,
) -> Result<Option<Source>, Failure> {
    let directory = plan.source.root.join(chain.directory());
    let names = look(&directory, |directory| {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.collect::<Vec<_>>()
    });
    let names = names.await?;
    let heights = names.iter().filter_map(|name| chain.height_by_name(name));
    let newest = heights.max().filter(|height| *height > local);
    Ok(newest.map(|height| Source::File {
        path: directory.join(chain.file_name(height)),
        height: Some(height),
    }))
}

/// What `look` sees there. A disk or a server that hangs must not hang the agent, which does all on one thread.
async fn look<T: Send + 'static>(
    at: &Path,
    look: impl FnOnce(&Path) -> T + Send + 'static,
) -> Result<T, Failure> {
    let path = at.to_owned();
    let seen = timeout(LOOK, spawn_blocking(move || look(&path))).await;
    let why = match seen {
        Ok(Ok(seen)) => return Ok(seen),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!(
            "{} cannot be looked at within {} s: the disk or the server that it is on hangs",
            at.display(),
            LOOK.as_secs()
        ),
    };
    Err(Failure::new(Reason::DataFailed, why))
}

/// Brings it to where the miner sees it, unpacked.
pub(super) async fn fetch(
    context: &mut Context,
    plan: &Snapshots,
    source: &Source,
) -> Result<Fetched, Failure> {
    let directory = plan.source.root.join(chain(&context.workload)?.directory());
    let (arriving, arrived) = (directory.join(ARRIVING), directory.join(ARRIVED));
    let packed = match source {
        Source::File { path, .. } => {
            let inside = context.workload.runtime.path_inside(path).await;
            let seen = inside.map_err(super::context::failure_of)?.is_some();
            if seen && !look(path, unpack::is_packed).await? {
                return Ok(Fetched { path: path.clone() });
            }
            path.clone()
        }
        Source::Web { urls, .. } => {
            if let Err(failure) = download(context, plan, urls, &directory).await {
                discard(context, plan).await;
                return Err(failure);
            }
            arriving
        }
    };
    let (reserve, came) = (plan.reserve, matches!(source, Source::Web { .. }));
    let unpack = move |control: &mut Control| {
        // What was downloaded lies in a directory of the miner's: a link that it puts there is not followed.
        let opened = match came {
            true => crate::data::place::open(&packed)?,
            false => {
                std::fs::File::open(&packed).map_err(crate::data::Error::io("open", &packed))?
            }
        };
        let written = unpack::unpack(opened, &packed, &arrived, reserve, control)?;
        let detail = Some(format!("{written} bytes"));
        Ok((
            Fetched { path: arrived },
            Did {
                changed: false,
                detail,
            },
        ))
    };
    let cancel = context.cancelled.clone();
    let unpacked = context
        .labour_until("unpack", Limits::default(), cancel, unpack)
        .await;
    match unpacked.and_then(whole) {
        Ok(fetched) => Ok(fetched),
        Err(failure) => {
            discard(context, plan).await;
            Err(failure)
        }
    }
}

async fn download(
    context: &mut Context,
    plan: &Snapshots,
    urls: &[Url],
    directory: &Path,
) -> Result<(), Failure> {
    let (ledger, id) = (context.ledger.clone(), context.record.id.clone());
    let (cancel, reserve) = (context.cancelled.clone(), plan.reserve);
    let file = directory.join(ARRIVING);
    let fetch = async {
        let place = file.clone();
        let opened = spawn_blocking(move || unpack::make_anew(&place)).await;
        let opened = match opened {
            Ok(opened) => opened.map_err(|error| failure_of(&error))?,
            Err(error) => return Err(Failure::new(Reason::DataFailed, error.to_string())),
        };
        let mut opened = tokio::fs::File::from_std(opened);
        let looked = AtomicU64::new(0);
        let heed = |done: u64, total: Option<u64>| {
            let progress = Progress {
                done,
                total,
                unit: "bytes".to_owned(),
                ..Progress::default()
            };
            ledger.tell_progress(&id, progress);
            room(&file, done, total, reserve, &looked)
        };
        let (bytes, url) = tokio::select! {
            came = first_there(urls, &mut opened, &heed) => came?,
            () = cancel.cancelled() => return Err(cancelled("cancelled during the download")),
        };
        Ok(Did {
            changed: false,
            detail: Some(format!("{bytes} bytes from {url}")),
        })
    };
    context.step("fetch", fetch).await
}

/// Downloads the first of these that is there. One that breaks off is the one that was wanted, whatever is beside it.
async fn first_there<'a>(
    urls: &'a [Url],
    to: &mut tokio::fs::File,
    heed: &(dyn Fn(u64, Option<u64>) -> Result<(), String> + Send + Sync),
) -> Result<(u64, &'a Url), Failure> {
    let mut why = "there is no address".to_owned();
    for url in urls {
        match web::download(url, to, heed).await {
            Ok(bytes) => return Ok((bytes, url)),
            Err(error @ web::Error::NotFound { .. }) => why = error.to_string(),
            Err(error) => {
                why = error.to_string();
                break;
            }
        }
    }
    Err(Failure::new(Reason::NotReady, why))
}

/// Room for it, and for it once more unpacked; looked at once in 16 MiB where its size is not known.
fn room(
    file: &Path,
    done: u64,
    total: Option<u64>,
    reserve: u64,
    looked: &AtomicU64,
) -> Result<(), String> {
    const STEP: u64 = 16 << 20;
    if done > 0 && done < looked.load(Ordering::Relaxed) + STEP {
        return Ok(());
    }
    looked.store(done, Ordering::Relaxed);
    let to_come = total.unwrap_or(done).saturating_sub(done);
    let unpacked = total.unwrap_or(done);
    let needed = to_come.saturating_add(unpacked).saturating_add(reserve);
    space::require(file, needed, 1).map_err(|error| error.to_string())
}

/// Removes what was brought; a file that was there before stays.
pub(super) async fn discard(context: &Context, plan: &Snapshots) {
    let Ok(chain) = chain(&context.workload) else {
        return;
    };
    let directory = plan.source.root.join(chain.directory());
    let removed = spawn_blocking(move || {
        [ARRIVING, ARRIVED]
            .into_iter()
            .try_for_each(|name| tree::remove(&directory.join(name), &mut Control::unlimited()))
    });
    if let Ok(Err(error)) = removed.await {
        tracing::warn!("what was fetched for a fast sync stays: {error}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;

    use super::*;

    /// Gives each connection the next of these answers; the address.
    fn server(answers: &'static [&'static str]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut connection, _) = listener.accept().unwrap();
                let head = BufReader::new(&connection).lines();
                let end = head.map_while(Result::ok).find(String::is_empty);
                assert!(end.is_some());
                connection.write_all(answer.as_bytes()).unwrap();
            }
        });
        format!("http://{address}")
    }

    async fn came(answers: &'static [&'static str]) -> (Result<String, String>, Vec<u8>) {
        let server = server(answers);
        let url = |name: &str| format!("{server}/{name}").parse::<Url>().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut opened = tokio::fs::File::from_std(file.reopen().unwrap());
        let urls = [url("snap.gz"), url("snap")];
        let came = first_there(&urls, &mut opened, &|_, _| Ok(())).await;
        let came = came.map(|(_, url)| url.to_string());
        let content = std::fs::read(file.path()).unwrap();
        (came.map_err(|failure| failure.message), content)
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_hangs_nobody() {
        let (answer, hung) = std::sync::mpsc::sync_channel::<()>(0);
        let looked = look(Path::new("/srv/snap"), move |_| hung.recv().is_err());
        // A clock that stands does not go on by itself while a thread works.
        let pass = async {
            tokio::task::yield_now().await;
            tokio::time::advance(LOOK * 2).await;
        };
        let failure = tokio::join!(looked, pass).0.unwrap_err();
        assert!(failure.message.starts_with("/srv/snap cannot"));
        drop(answer);
        let seen = look(Path::new("/srv/snap"), |path| path.to_owned()).await;
        assert_eq!(seen.unwrap(), Path::new("/srv/snap"));
    }

    const ABSENT: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
    const WHOLE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole";
    const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";

    #[tokio::test]
    async fn what_is_beside_a_snapshot_is_asked_for_only_where_that_one_is_not_there() {
        let (came_from, content) = came(&[ABSENT, WHOLE]).await;
        assert!(came_from.unwrap().ends_with("/snap"));
        assert_eq!(content, b"whole");

        let (broken, content) = came(&[HALF, WHOLE]).await;
        let why = broken.unwrap_err();
        assert!(why.contains("/snap.gz gave no answer"), "{why}");
        assert!(!content.ends_with(b"whole"), "nothing is appended");

        let why = came(&[ABSENT, ABSENT]).await.0.unwrap_err();
        assert!(why.contains("/snap ") && why.contains("404"), "{why}");
    }
}
