//! The `ostler` binary: parses the command line and calls one function.

use std::process::ExitCode;

use clap::Parser;
use ostler::cli::Cli;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.run(),
        Err(answer) => ostler::cli::answer_usage(&answer),
    }
}
