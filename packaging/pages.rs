//! Writes the manual pages and the completions of the command line, for the packages: nothing of this is in the program.
//!
//!     cargo run --example pages -- DIRECTORY

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::{Shell, generate_to};
use ostler::cli::Cli;

fn main() -> io::Result<()> {
    let Some(directory) = std::env::args_os().nth(1) else {
        return Err(io::Error::other("usage: pages DIRECTORY"));
    };
    let directory = Path::new(&directory);
    let manual = directory.join("man");
    fs::create_dir_all(&manual)?;
    clap_mangen::generate_to(Cli::command(), &manual)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let completions = directory.join(shell.to_string());
        fs::create_dir_all(&completions)?;
        generate_to(shell, &mut Cli::command(), "ostler", &completions)?;
    }
    Ok(())
}
