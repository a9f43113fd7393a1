//! Where the local APIs listen and whom they believe, of the configuration.

use std::fmt::Display;
use std::path::Path;

use crate::any_error::{AnyError, Outcome};
use crate::config::{self, Config, Problem, secret};
use crate::http::bobcat::{self, Credentials, Miner};
use crate::http::{Settings, Token};
use crate::protocol::Name;

/// The settings of the local API; `id` is the device's.
pub fn settings(config: &Config, id: &Name) -> Outcome<Settings> {
    Ok(Settings {
        listen: config.http.listen.clone(),
        socket: config.http.socket.clone(),
        names: std::iter::once(id.to_string())
            .chain(config.http.names.iter().cloned())
            .collect(),
        token: token(config)?,
        bobcat: bobcat_settings(&config.bobcat)?,
    })
}

/// Says which of the files that the configuration names are of no use: what cannot be read, or what the agent makes of it as it starts.
pub fn check_files(config: &Config) -> Vec<Problem> {
    let problems = config.check_files();
    if !problems.is_empty() {
        return problems;
    }
    let made = [
        token(config).err(),
        bobcat_settings(&config.bobcat).err(),
        super::trusted_keys(config).err(),
    ];
    let told = |error: AnyError| match error.downcast::<config::Error>() {
        Ok(error) => match *error {
            config::Error::Unusable { key, problem } => (key.to_owned(), problem),
            other => ("a file".to_owned(), other.to_string()),
        },
        Err(error) => ("a file".to_owned(), error.to_string()),
    };
    let problem = |(key, what)| Problem {
        line: None,
        key,
        what,
    };
    made.into_iter().flatten().map(told).map(problem).collect()
}

fn token(config: &Config) -> Outcome<Option<Token>> {
    let file = config.http.token_file.as_ref();
    file.map(|file| made_of("http.token-file", file, Token::new))
        .transpose()
}

/// What a secret makes. One that is of no use is a mistake in the configuration; one that is not there may come.
fn made_of<T, E: Display>(
    key: &'static str,
    file: &Path,
    make: impl FnOnce(&str) -> Result<T, E>,
) -> Outcome<T> {
    let unusable = |problem| config::Error::Unusable { key, problem };
    let secret = match secret::read(file) {
        Err(error) if error.is_lasting() => return Err(unusable(error.to_string()).into()),
        read => read?,
    };
    let made = make(secret.expose());
    Ok(made.map_err(|problem| unusable(format!("{}: {problem}", file.display())))?)
}

/// The miner that the Bobcat-compatible API shows; `None` as long as there is none, or none of the name that is configured.
pub fn miner(config: &Config, miners: Vec<Miner>) -> Option<Miner> {
    let wanted = config.bobcat.workload.as_ref();
    let found = miners
        .into_iter()
        .find(|miner| wanted.is_none_or(|name| miner.name == *name));
    if let (Some(name), None) = (wanted, &found) {
        tracing::warn!("[bobcat] workload: there is no `{name}` of kind helium here yet");
    }
    found
}

fn bobcat_settings(config: &config::Bobcat) -> Outcome<Option<bobcat::Settings>> {
    let Some(listen) = config.listen else {
        return Ok(None);
    };
    let credentials = match &config.password_file {
        Some(file) => Some(made_of("bobcat.password-file", file, Credentials::new)?),
        None => config.stock_credentials.then(Credentials::stock),
    };
    let own_version = || env!("CARGO_PKG_VERSION").to_owned();
    Ok(Some(bobcat::Settings {
        listen,
        credentials,
        ota_version: config.ota_version.clone().unwrap_or_else(own_version),
        frequency_plan: config.frequency_plan.clone(),
        public_address: config.public_address,
        dig_name: config.dig_name.clone(),
        speed: config.speed_download.clone().map(|download| bobcat::Speed {
            download,
            upload: config.speed_upload.clone(),
            every: config.speed_interval.into(),
        }),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_api_goes_by_the_names_of_the_device_and_of_the_configuration() {
        let mut config = Config::default();
        config.http.names = vec!["attic.local".to_owned()];
        let settings = settings(&config, &Name::new("attic").unwrap()).unwrap();
        assert_eq!(settings.names, ["attic", "attic.local"]);
    }

    #[test]
    fn the_stock_credentials_are_taken_only_where_they_are_wanted() {
        let mut config = config::Bobcat::default();
        assert!(bobcat_settings(&config).unwrap().is_none());
        config.listen = Some(([0, 0, 0, 0], 80).into());
        let closed = bobcat_settings(&config).unwrap().unwrap();
        assert!(closed.credentials.is_none());
        config.stock_credentials = true;
        let open = bobcat_settings(&config).unwrap().unwrap();
        assert!(open.credentials.is_some());
    }

    #[test]
    fn a_secret_that_is_of_no_use_is_a_mistake_in_the_configuration_and_one_that_is_absent_is_not()
    {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let ends = |config: &Config| {
            let error = settings(config, &Name::new("attic").unwrap()).unwrap_err();
            (error.is::<config::Error>(), error.to_string())
        };
        let mut config = Config::default();
        config.http.token_file = Some(file.clone());
        assert!(!ends(&config).0);
        for (content, mode, why) in [
            ("short", 0o600, "5 characters"),
            ("0123456789abcdef", 0o644, "644"),
        ] {
            crate::durable::write(&file, content.as_bytes(), mode).unwrap();
            let (is_mistake, told) = ends(&config);
            assert!(
                is_mistake && told.starts_with("http.token-file: ") && told.contains(why),
                "{told}"
            );
        }
    }

    #[test]
    fn a_miner_that_is_not_found_yet_keeps_nobody_from_starting() {
        let mut config = Config::default();
        assert!(miner(&config, Vec::new()).is_none());
        config.bobcat.workload = Some(Name::new("attic").unwrap());
        assert!(miner(&config, Vec::new()).is_none());
    }
}
