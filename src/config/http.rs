//! `[http]`: the local API and the page.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::error::Problems;
use super::secret;
use super::section::section;

section! {
    /// The local API and the page.
    default Http {
        /// The addresses to listen on. Beyond loopback they need a `token-file`. An empty list closes this door.
        listen: Vec<SocketAddr> = vec![LISTEN];
        /// A file that holds the token which whoever changes something has to show, and beyond loopback whoever reads, too. Only its owner and group can read it. A name without `/` is a systemd credential.
        token_file: Option<PathBuf> = None, example = "/etc/ostler/http-token";
        /// Other names by which this host is called in a browser, beside its addresses, `localhost` and the device's id. A request that calls it otherwise is refused: it may come from a page of another site.
        names: Vec<String> = Vec::new(), example = ["attic.local"];
        /// The unix socket that the `ostler` commands use; whoever may write to it may do everything.
        socket: PathBuf = PathBuf::from("/run/ostler/ostler.sock");
    }
}

/// 6785 spells `OSTL` on the keys of a telephone.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 6785);

/// More doors than that are a mistake.
const MOST_ADDRESSES: usize = 16;

impl Http {
    pub(super) fn check(&self, problems: &mut Problems) {
        if self.listen.len() > MOST_ADDRESSES {
            problems.add(
                "http.listen",
                format!(
                    "at most {MOST_ADDRESSES} addresses, not {}",
                    self.listen.len()
                ),
            );
        }
        if let Some(file) = &self.token_file {
            secret::check_path("http.token-file", file, problems);
        } else if let Some(open) = self.listen.iter().find(|at| !at.ip().is_loopback()) {
            problems.add(
                "http.listen",
                format!(
                    "{open} can be reached by others: set `token-file`, or listen on 127.0.0.1 only"
                ),
            );
        }
        for name in self.names.iter().filter(|name| !is_host_name(name)) {
            let name = name.escape_debug();
            problems.add(
                "http.names",
                format!(
                    "`{name}` is not the name of a host, as in `attic.local`: no port, no `http://`"
                ),
            );
        }
        super::check_absolute("http.socket", &self.socket, problems);
    }
}

/// The letters of a name in DNS, and no more of them than it can have.
fn is_host_name(name: &str) -> bool {
    (1..=253).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}
