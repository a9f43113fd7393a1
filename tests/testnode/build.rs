//! Links the system's static LevelDB, snappy and C++ library.
//!
//! `TESTNODE_LIBRARIES` names other directories (separated by `:`) for another target, where
//! `TESTNODE_CXX_LIBRARY` names its C++ library (`c++` for LLVM's).

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=TESTNODE_LIBRARIES");
    println!("cargo:rerun-if-env-changed=TESTNODE_CXX_LIBRARY");
    println!("cargo:rerun-if-env-changed=CXX");
    match env::var("TESTNODE_LIBRARIES") {
        Ok(directories) => directories.split(':').for_each(search),
        Err(_) => ["libleveldb.a", "libsnappy.a", "libstdc++.a"]
            .into_iter()
            .for_each(search_for),
    }
    println!("cargo:rustc-link-lib=static=leveldb");
    println!("cargo:rustc-link-lib=static=snappy");
    let cxx = env::var("TESTNODE_CXX_LIBRARY").unwrap_or_else(|_| "stdc++".to_owned());
    println!("cargo:rustc-link-lib=static={cxx}");
}

/// Asks the C++ compiler where it would find `archive`; it answers with the bare name when it would not.
fn search_for(archive: &str) {
    let compiler = env::var("CXX").unwrap_or_else(|_| "g++".to_owned());
    let output = Command::new(&compiler)
        .arg(format!("-print-file-name={archive}"))
        .output()
        .unwrap_or_else(|error| panic!("cannot run {compiler} ({error}): install g++"));
    let answer = String::from_utf8_lossy(&output.stdout);
    let path = Path::new(answer.trim());
    assert!(
        path.is_absolute(),
        "{archive} is missing: install libleveldb-dev and libsnappy-dev"
    );
    if let Some(directory) = path.parent() {
        search(&directory.to_string_lossy());
    }
}

fn search(directory: &str) {
    println!("cargo:rustc-link-search=native={directory}");
}
