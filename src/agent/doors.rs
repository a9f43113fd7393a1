//! Where the local APIs listen and whom they believe, of the configuration.

use anyhow::Context as _;

use crate::config::{self, Config, secret};
use crate::http::bobcat::{self, Credentials, Miner};
use crate::http::{Settings, Token};
use crate::protocol::Name;

/// The settings of the local API; `id` is the device's.
pub fn settings(config: &Config, id: &Name) -> anyhow::Result<Settings> {
    let token = match &config.http.token_file {
        Some(file) => Some(
            Token::new(secret::read(file)?.expose()).with_context(|| file.display().to_string())?,
        ),
        None => None,
    };
    Ok(Settings {
        listen: config.http.listen.clone(),
        socket: config.http.socket.clone(),
        names: std::iter::once(id.to_string())
            .chain(config.http.names.iter().cloned())
            .collect(),
        token,
        bobcat: bobcat_settings(&config.bobcat)?,
    })
}

/// The miner that the Bobcat-compatible API shows.
pub fn miner(config: &Config, miners: Vec<Miner>) -> anyhow::Result<Option<Miner>> {
    let Some(name) = &config.bobcat.workload else {
        return Ok(miners.into_iter().next());
    };
    let found = miners.into_iter().find(|miner| miner.name == *name);
    found
        .map(Some)
        .with_context(|| format!("[bobcat] workload: there is no workload `{name}` of kind helium"))
}

fn bobcat_settings(config: &config::Bobcat) -> anyhow::Result<Option<bobcat::Settings>> {
    let Some(listen) = config.listen else {
        return Ok(None);
    };
    let credentials = match &config.password_file {
        Some(file) => Some(
            Credentials::new(secret::read(file)?.expose())
                .with_context(|| file.display().to_string())?,
        ),
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
    fn a_miner_that_is_not_there_is_said_so() {
        let mut config = Config::default();
        assert!(miner(&config, Vec::new()).unwrap().is_none());
        config.bobcat.workload = Some(Name::new("attic").unwrap());
        let error = miner(&config, Vec::new()).err().unwrap();
        assert!(error.to_string().contains("`attic`"), "{error}");
    }
}
