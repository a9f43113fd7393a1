//! `[bobcat]`: the API that the stock Bobcat device has.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use super::error::Problems;
use super::seconds::Seconds;
use super::secret;
use super::section::section;
use super::workload::{Kind, Workload};
use crate::protocol::Name;
use crate::web::Url;

section! {
    /// The API of the stock Bobcat device, for the tools that speak it. Off unless it has an address to listen on. What it shows, everybody may see who reaches that; to change something needs the user `bobcat` and a password.
    default Bobcat {
        /// Where it listens. The tools look for it at port 80.
        listen: Option<SocketAddr> = None, example = "0.0.0.0:80";
        /// A file with the password of the user `bobcat`, of at least 8 characters, that only its owner and group can read. A name without `/` is a systemd credential. Without it nothing can be changed.
        password_file: Option<PathBuf> = None, example = "/etc/ostler/bobcat-password";
        /// Whether `bobcat` with the stock password is taken instead: the whole world knows it, and some tools know no other.
        stock_credentials: bool = false;
        /// Which workload it shows, of kind `helium`. Left out, the first.
        workload: Option<Name> = None, example = "miner";
        /// What it says of its firmware's version. Left out, the agent's own.
        ota_version: Option<String> = None, example = "1.0.2.75";
        /// The frequency plan that it shows until the miner has said its region.
        frequency_plan: Option<String> = None, example = "us915";
        /// The address by which the world knows this host. Left out, the one at which the miner says that it listens.
        public_address: Option<IpAddr> = None, example = "203.0.113.7";
        /// The name of the network's seed nodes, which it looks up and calls.
        dig_name: String = "seed.helium.io".to_owned();
        /// What is fetched to measure the speed of the connection: some tens of megabytes. Left out, nothing is measured, and the speed is shown as 0.
        speed_download: Option<Url> = None, example = "http://speed.example/32M";
        /// Where something is sent to measure the other way. Goes with `speed-download`.
        speed_upload: Option<Url> = None, example = "http://speed.example/upload";
        /// Seconds between two measurements, from 600 to 604800.
        speed_interval: Seconds<600, 604_800> = Seconds::of(86_400);
    }
}

impl Bobcat {
    pub(super) fn check(&self, workloads: &[Workload], problems: &mut Problems) {
        let is_shown = |workload: &Workload| {
            workload.kind == Kind::Helium && Some(&workload.name) == self.workload.as_ref()
        };
        // Without any the agent looks for one, and may find it later.
        if self.workload.is_some() && !workloads.is_empty() && !workloads.iter().any(is_shown) {
            problems.add(
                "bobcat.workload",
                "there is no such workload of kind helium",
            );
        }
        if let Some(file) = &self.password_file {
            secret::check_path("bobcat.password-file", file, problems);
            if self.stock_credentials {
                problems.add(
                    "bobcat.stock-credentials",
                    "goes without `password-file`: whoever knows either could come in",
                );
            }
        }
        if self.speed_upload.is_some() && self.speed_download.is_none() {
            problems.add("bobcat.speed-upload", "goes with `speed-download`");
        }
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if !(1..=253).contains(&self.dig_name.len()) || !self.dig_name.bytes().all(is_name) {
            problems.add("bobcat.dig-name", "is not the name of a host");
        }
    }
}
