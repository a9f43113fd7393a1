//! Noticing a change at once.
//!
//! systemd keeps a link `/run/systemd/units/invocation:UNIT` for each run of a unit, for the journal's sake: it is
//! made or replaced at every start and removed at every end, be it a stop, a crash or the pause before a restart.
//! Watching that directory costs nothing while nothing happens. D-Bus would tell more, for the price of a client.
//! Where the directory cannot be watched nothing is noticed here, and callers poll, as they do anyway.

use std::ffi::OsString;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

use super::Systemd;

/// Where systemd keeps the links.
const UNITS: &str = "/run/systemd/units";

/// The watch, kept between calls so that nothing is missed between them.
#[derive(Default)]
pub(super) enum Watch {
    /// Nobody has asked yet.
    #[default]
    Closed,
    /// It is watched.
    Open {
        events: AsyncFd<Events>,
        link: OsString,
    },
    /// It cannot be watched.
    Impossible,
}

/// An inotify descriptor, as tokio wants it.
pub(super) struct Events(Inotify);

impl AsRawFd for Events {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Systemd {
    /// Returns when something may have changed. A call that is dropped loses nothing.
    pub(super) async fn notice(&self) {
        let mut watch = self.watch.lock().await;
        if let Watch::Closed = *watch {
            *watch = match open() {
                Ok(events) => Watch::Open {
                    events,
                    link: OsString::from(format!("invocation:{}", self.primary_name().await)),
                },
                Err(_) => Watch::Impossible,
            };
            // Something may have happened between the caller's last look and now.
            return;
        }
        if let Watch::Open { events, link } = &*watch
            && changed(events, link).await.is_ok()
        {
            return;
        }
        *watch = Watch::Impossible;
        std::future::pending().await
    }

    /// The links bear the unit's own name, which differs from an alias that was configured.
    async fn primary_name(&self) -> String {
        let shown = self.manager.show(self.unit.as_str(), "Id").await;
        let name = shown.ok().and_then(|properties| properties.some("Id"));
        name.unwrap_or_else(|| self.unit.to_string())
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe code for the sake of types whose descriptor may change or close, which this one's does not"
)]
fn open() -> std::io::Result<AsyncFd<Events>> {
    let events = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
    let made_or_gone = AddWatchFlags::IN_CREATE
        | AddWatchFlags::IN_MOVED_TO
        | AddWatchFlags::IN_MOVED_FROM
        | AddWatchFlags::IN_DELETE;
    events.add_watch(UNITS, made_or_gone | AddWatchFlags::IN_ONLYDIR)?;
    AsyncFd::new(Events(events))
}

/// Waits for an event about the link.
async fn changed(events: &AsyncFd<Events>, link: &OsString) -> std::io::Result<()> {
    loop {
        let mut ready = events.readable().await?;
        let read = ready.try_io(|events| Ok(events.get_ref().0.read_events()?));
        // An event without a name is about all: the kernel's queue was full, or the directory is gone.
        if let Ok(events) = read
            && events?
                .iter()
                .any(|event| event.name.as_ref().is_none_or(|name| name == link))
        {
            return Ok(());
        }
    }
}
