//! `ostler config`: what is wrong with the configuration, what holds, what there is to set.

use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use super::{Exit, Global, credentials, print, unit};
use crate::agent;
use crate::any_error::Outcome;
use crate::config::{Config, DEFAULT_PATH, Error, reference};

/// Arguments of `ostler config`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say what is wrong with the configuration and with the files it names
    Check {
        /// The file to check instead of the one that the agent reads
        file: Option<PathBuf>,
    },
    /// Print every key, its default and its meaning (Markdown)
    Reference {
        /// Print a sample configuration instead
        #[arg(long)]
        sample: bool,
    },
    /// Print what holds, defaults included (TOML, or JSON with --json)
    Show,
    /// Print what the configuration needs of the systemd unit, as a drop-in for it
    Unit,
}

/// Prints what was asked for.
pub fn run(args: Args, global: &Global) -> Outcome<Exit> {
    let text = match args.action {
        Action::Check { file } => {
            let named = file.or_else(|| global.config.clone());
            return check(named, global.json);
        }
        Action::Reference { sample: true } => reference::sample(),
        Action::Reference { sample: false } => reference::page(),
        Action::Unit => unit::drop_in(&Config::load(global.config.as_deref())?),
        Action::Show => {
            let config = Config::load(global.config.as_deref())?;
            match global.json {
                true => serde_json::to_string_pretty(&config)? + "\n",
                false => config.to_toml(),
            }
        }
    };
    print::out(&text)?;
    Ok(Exit::Success)
}

fn check(named: Option<PathBuf>, json: bool) -> Outcome<Exit> {
    let file = named.clone().unwrap_or_else(|| DEFAULT_PATH.into());
    let config = Config::load(named.as_deref())?;
    let problems = agent::check_files(&credentials::located(config));
    if !problems.is_empty() {
        return Err(Error::Wrong { file, problems }.into());
    }
    let told = match named.is_none() && !file.exists() {
        true => "is not there: the defaults hold",
        false => "is valid",
    };
    match json {
        true => print::json(&json!({ "file": file, "exists": file.exists() }))?,
        false => print::out(&format!("{} {told}\n", file.display()))?,
    }
    Ok(Exit::Success)
}
