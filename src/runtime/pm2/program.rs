//! Finding `pm2` and `node` where the user's own shell finds them.
//!
//! A shell knows them by what nvm, npm and others have put into its start files. Those are programs, so they are not
//! run: the places that they lead to are looked at instead, the one of the daemon that runs first.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::account::Account;

/// Where programs are for everybody.
const SYSTEM: [&str; 8] = [
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/opt/node/bin",
    "/snap/bin",
];

/// Where the host's own programs are, into which only root writes.
const HOST: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Where they are below a home: npm's usual prefixes, and the managers of Node's versions.
const BELOW_HOME: [&str; 12] = [
    ".npm-global/bin",
    ".npm-packages/bin",
    ".local/bin",
    ".volta/bin",
    ".asdf/shims",
    ".local/share/mise/shims",
    ".local/share/fnm/aliases/default/bin",
    ".fnm/aliases/default/bin",
    ".local/share/pnpm",
    ".yarn/bin",
    "n/bin",
    "bin",
];

/// A settings file of npm's or nvm's is short.
const MOST: u64 = 64 * 1024;

/// The program, and the search path with which it finds `node`.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub pm2: PathBuf,
    pub path: OsString,
}

impl Program {
    /// Looks for it. `daemon` is the directory of the `node` that the running daemon is, `configured` what the
    /// configuration says.
    pub(super) fn find(
        account: &Account,
        configured: Option<&Path>,
        daemon: Option<&Path>,
    ) -> Result<Self, String> {
        let places = places(&account.home, daemon);
        let pm2 = match configured {
            Some(pm2) if is_program(pm2) => pm2.to_owned(),
            Some(pm2) => {
                return Err(format!(
                    "{} is no program: correct `program` in the workload's runtime",
                    pm2.display()
                ));
            }
            None => first(&places, "pm2").ok_or_else(|| {
                format!(
                    "`pm2` was not found where the shell of {} would find it ({} places, from nvm to /usr/bin): install it \
                     (npm install -g pm2), or name it with `program` in the workload's runtime",
                    account.name,
                    places.len()
                )
            })?,
        };
        let own = pm2.parent().map(Path::to_owned);
        let all: Vec<PathBuf> = own.into_iter().chain(places).collect();
        let Some(node) = first(&all, "node") else {
            return Err(format!(
                "{} is there, but `node`, which runs it, is not: install Node.js for {}",
                pm2.display(),
                account.name
            ));
        };
        let path = node.parent().map(Path::to_owned).into_iter().chain(all);
        let path = std::env::join_paths(path).map_err(|error| error.to_string())?;
        Ok(Self { pm2, path })
    }
}

/// Every directory that is looked at, the likeliest first.
fn places(home: &Path, daemon: Option<&Path>) -> Vec<PathBuf> {
    let mut places: Vec<PathBuf> = daemon.map(Path::to_owned).into_iter().collect();
    places.extend(npm_prefix(home).map(|prefix| prefix.join("bin")));
    places.extend(nvm(&home.join(".nvm")));
    places.extend(BELOW_HOME.map(|place| home.join(place)));
    places.extend(SYSTEM.map(PathBuf::from));
    // A `:` would end its entry in the search path.
    places
        .retain(|place| place.is_absolute() && !place.as_os_str().to_string_lossy().contains(':'));
    places
}

/// The prefix that the user gave to npm: the line `prefix=…` in `~/.npmrc`.
fn npm_prefix(home: &Path) -> Option<PathBuf> {
    let text = short(&home.join(".npmrc"))?;
    let line = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "prefix").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    let rest = ["${HOME}/", "$HOME/", "~/"]
        .iter()
        .find_map(|start| line.strip_prefix(start));
    Some(rest.map_or_else(|| PathBuf::from(&line), |rest| home.join(rest)))
}

/// nvm's versions of Node, its default first, then the newest.
fn nvm(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<(Vec<u64>, String)> = fs::read_dir(root.join("versions/node"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .map(|name| (numbers(&name), name))
        .collect();
    let default = short(&root.join("alias/default"))
        .map(|alias| numbers(alias.trim()))
        .filter(|alias| !alias.is_empty());
    versions.sort_by(|one, other| {
        let is_default = |version: &[u64]| {
            default
                .as_ref()
                .is_some_and(|alias| version.starts_with(alias))
        };
        (is_default(&other.0), &other.0).cmp(&(is_default(&one.0), &one.0))
    });
    versions
        .into_iter()
        .map(|(_, name)| root.join("versions/node").join(name).join("bin"))
        .collect()
}

/// `v20.11.1` as numbers; nothing of what is no version.
fn numbers(version: &str) -> Vec<u64> {
    let parts = version.trim_start_matches('v').split('.');
    parts.map_while(|part| part.parse().ok()).collect()
}

fn short(file: &Path) -> Option<String> {
    let about = fs::metadata(file).ok()?;
    (about.is_file() && about.len() <= MOST)
        .then(|| fs::read_to_string(file).ok())
        .flatten()
}

fn first(places: &[PathBuf], program: &str) -> Option<PathBuf> {
    let mut all = places.iter().map(|place| place.join(program));
    all.find(|path| is_program(path))
}

/// A program of the host's own, which runs as the agent's user: never one that the user of the apps could put in its place.
pub(super) fn of_the_host(name: &str) -> PathBuf {
    let all: Vec<PathBuf> = HOST.map(PathBuf::from).into();
    // Where it is nowhere, the error of running it names the usual place.
    first(&all, name).unwrap_or_else(|| Path::new(HOST[0]).join(name))
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn text(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = fs::File::create(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn account(home: &Path) -> Account {
        Account {
            name: "somebody".to_owned(),
            uid: nix::unistd::geteuid(),
            gid: nix::unistd::getegid(),
            home: home.to_owned(),
        }
    }

    #[test]
    fn the_default_of_nvm_comes_before_its_newest() {
        let home = tempfile::tempdir().unwrap();
        let nvm = home.path().join(".nvm");
        for version in ["v18.20.4", "v20.9.0", "v20.11.1", "v9.11.2"] {
            for name in ["node", "pm2"] {
                program(
                    &nvm.join("versions/node")
                        .join(version)
                        .join("bin")
                        .join(name),
                );
            }
        }
        let found = || Program::find(&account(home.path()), None, None).unwrap();
        assert!(
            found().pm2.to_string_lossy().contains("v20.11.1"),
            "{:?}",
            found()
        );
        text(&nvm.join("alias/default"), "18\n");
        assert!(found().pm2.to_string_lossy().contains("v18.20.4"));
        assert!(found().path.to_string_lossy().contains("v18.20.4/bin"));
        text(&nvm.join("alias/default"), "lts/*\n");
        assert!(found().pm2.to_string_lossy().contains("v20.11.1"));
    }

    #[test]
    fn a_program_of_the_host_is_never_one_below_a_home() {
        for name in ["env", "setpriv", "nothing-of-this-name"] {
            let path = of_the_host(name);
            assert!(
                HOST.map(Path::new).contains(&path.parent().unwrap()),
                "{path:?}"
            );
        }
        assert!(is_program(&of_the_host("env")));
    }

    #[test]
    fn the_prefix_of_npm_is_read_and_the_configuration_comes_first() {
        let home = tempfile::tempdir().unwrap();
        let theirs = home.path().join("tools/bin/pm2");
        program(&theirs);
        program(&home.path().join("tools/bin/node"));
        text(
            &home.path().join(".npmrc"),
            "audit=false\nprefix = ${HOME}/tools\n",
        );
        let account = account(home.path());
        assert_eq!(Program::find(&account, None, None).unwrap().pm2, theirs);
        let mine = home.path().join("mine/pm2");
        program(&mine);
        assert_eq!(
            Program::find(&account, Some(&mine), None).unwrap().pm2,
            mine
        );
        let error = Program::find(&account, Some(home.path()), None).unwrap_err();
        assert!(error.contains("is no program"), "{error}");
        // The daemon that runs knows best.
        let daemon = home.path().join("elsewhere");
        program(&daemon.join("pm2"));
        let found = Program::find(&account, None, Some(&daemon)).unwrap();
        assert_eq!(found.pm2, daemon.join("pm2"));
    }
}
