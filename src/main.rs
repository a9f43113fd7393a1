//! The `ostler` binary: parses the command line and calls one function.

use std::process::ExitCode;

use clap::Parser;
use ostler::cli::Cli;

fn main() -> ExitCode {
    // Without it a defect would end the program all the same, and say less.
    let _ = ostler::crash::tell_where();
    match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(answer) => ostler::cli::answer_usage(&answer),
    }
}
