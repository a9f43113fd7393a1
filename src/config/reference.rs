//! The reference page and the sample file, from the doc comments.

use super::ptn::Backups;
use super::section::Key;
use super::written::inline;
use super::{
    Bobcat, Bucket, Commands, Config, Device, Docker, Harmony, Helium, Http, Mqtt, Pm2, Ptn,
    Schedule, Snapshot, Systemd, Telemetry, Workload,
};

/// A table as it is shown.
struct Table {
    /// Its line in the file, or for a table within a value how it is written.
    header: &'static str,
    doc: &'static str,
    keys: &'static [Key],
    /// Whether it does without keys of its own; otherwise the sample shows it as a comment.
    optional: bool,
}

macro_rules! table {
    ($header:literal, $Name:ident, optional = $optional:literal) => {
        Table {
            header: $header,
            doc: $Name::DOC,
            keys: $Name::KEYS,
            optional: $optional,
        }
    };
}

const TABLES: &[Table] = &[
    table!("[device]", Device, optional = true),
    table!("[mqtt]", Mqtt, optional = false),
    table!("[commands]", Commands, optional = true),
    table!("[telemetry]", Telemetry, optional = true),
    table!("[http]", Http, optional = true),
    table!("[bobcat]", Bobcat, optional = true),
    table!("[[workload]]", Workload, optional = false),
    table!("[workload.snapshot]", Snapshot, optional = false),
    table!("[workload.bucket]", Bucket, optional = false),
    table!("[workload.schedule]", Schedule, optional = false),
    table!("[workload.helium]", Helium, optional = false),
    table!("[workload.harmony]", Harmony, optional = false),
    table!("[workload.ptn]", Ptn, optional = false),
    table!("[workload.ptn.backups]", Backups, optional = false),
];

const RUNTIMES: &[Table] = &[
    table!("docker = { … }", Docker, optional = false),
    table!("systemd = { … }", Systemd, optional = false),
    table!("pm2 = { … }", Pm2, optional = false),
];

/// The keys of a table that are no tables of their own; `within` is its name and a dot, or nothing for the whole file.
fn plain(keys: &'static [Key], within: &str) -> Vec<&'static Key> {
    let is_table = |key: &&Key| {
        let name = format!("{within}{}", key.name());
        TABLES.iter().any(|table| table.name() == name)
    };
    keys.iter().filter(|key| !is_table(key)).collect()
}

impl Table {
    fn name(&self) -> &'static str {
        self.header.trim_matches(['[', ']'])
    }

    fn rows(&self) -> Vec<&'static Key> {
        plain(self.keys, &format!("{}.", self.name()))
    }
}

/// The page: `docs/configuration.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str(&format!("\n## The file\n\n{}\n", prose(Config::DOC)));
    write_rows(&mut page, plain(Config::KEYS, ""));
    for table in TABLES {
        page.push_str(&format!(
            "\n## `{}`\n\n{}\n",
            table.header,
            prose(table.doc)
        ));
        write_rows(&mut page, table.rows());
    }
    for table in RUNTIMES {
        page.push_str(&format!(
            "\n### `runtime = {{ {} }}`\n\n{}\n",
            table.header,
            prose(table.doc)
        ));
        write_rows(&mut page, table.rows());
    }
    page
}

/// The sample: `packaging/ostler.toml`. Every setting is a comment, so that it says what holds without a file.
pub fn sample() -> String {
    let mut sample = String::from(SAMPLE_INTRODUCTION);
    write_settings(&mut sample, plain(Config::KEYS, ""));
    for table in TABLES {
        let mark = if table.optional { "" } else { "#" };
        sample.push_str(&format!(
            "\n{}\n{mark}{}\n",
            comment(table.doc),
            table.header
        ));
        write_settings(&mut sample, table.rows());
    }
    sample
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `ostler config reference`; a test holds the two together. -->

Without a configuration the agent works with the defaults below: it has no broker, and looks after the miner, node or validator that it finds.
The file is `/etc/ostler/ostler.toml`, or what `--config FILE` or the environment variable `OSTLER_CONFIG` names; a file that is
named has to be there. It is [TOML](https://toml.io).

- `ostler config check` says what is wrong with it: file, line, key and what to do. The exit status is 64 where something is.
- `ostler config show` prints what holds, defaults included.
- `ostler config reference` prints this page, with `--sample` a sample file.

A key that is unknown, has the wrong type or is out of bounds stops the agent from starting. `SIGHUP` reloads: what is marked
*reload* is applied at once, of the rest the log says that it needs a restart. When the new file is wrong the agent says so and
keeps what it has.
";

const SAMPLE_INTRODUCTION: &str = "\
# Ostler's configuration. What follows a `#` without a space is a setting: its default, or an example where there is none.
# `ostler config check` says what is wrong with this file, `ostler config reference` explains it.

";

fn write_rows(page: &mut String, keys: Vec<&'static Key>) {
    page.push_str("\n| key | default | meaning |\n| --- | --- | --- |\n");
    for key in keys {
        let default = match key.default.map(|default| default()) {
            None => "must be given".to_owned(),
            Some(value) if value.is_null() => "not set".to_owned(),
            Some(value) => format!("`{}`", inline(&value)),
        };
        let example = match key.example {
            Some(example) => format!(" For example `{}`.", inline(&example())),
            None => String::new(),
        };
        let reload = if key.reload { " *reload*" } else { "" };
        page.push_str(&format!(
            "| `{}` | {default} | {}{example}{reload} |\n",
            key.name(),
            prose(key.doc)
        ));
    }
}

fn write_settings(sample: &mut String, keys: Vec<&'static Key>) {
    for key in keys {
        let value = key.example.or(key.default).map(|value| inline(&value()));
        sample.push_str(&format!(
            "{}\n#{} = {}\n",
            comment(key.doc),
            key.name(),
            value.unwrap_or_default()
        ));
    }
}

/// A doc comment as one paragraph.
fn prose(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A doc comment as comment lines of at most 100 characters.
fn comment(doc: &str) -> String {
    let mut lines = vec![String::from("#")];
    for word in doc.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < 100 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("# {word}")),
        }
    }
    lines.join("\n")
}
