//! systemd credentials: given to the agent by its unit, and to nobody else. Where they come from can be looked at all the same.

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::config::secret::is_elsewhere;

/// Where the unit's credentials are while it runs, and where they are taken from as it starts (systemd.exec(5), `LoadCredential=`).
const PLACES: [&str; 3] = [
    "/run/credentials/ostler.service",
    "/etc/credstore",
    "/run/credstore",
];

/// The configuration with the files of its credentials in the place of their names.
pub(super) fn located(mut config: Config) -> Config {
    let mut files: Vec<&mut PathBuf> = Vec::new();
    if let Some(mqtt) = &mut config.mqtt {
        files.extend(&mut mqtt.password_file);
        files.extend(&mut mqtt.ca_file);
        files.extend(&mut mqtt.cert_file);
        files.extend(&mut mqtt.key_file);
    }
    files.extend(&mut config.commands.trusted_keys);
    files.extend(&mut config.http.token_file);
    files.extend(&mut config.bobcat.password_file);
    for workload in &mut config.workload {
        let bucket = workload.bucket.as_mut();
        files.extend(bucket.and_then(|bucket| bucket.config_file.as_mut()));
    }
    for file in files {
        if is_elsewhere(file) {
            *file = locate(file);
        }
    }
    config
}

/// The first place that has it; where none has, the one that it belongs to.
fn locate(name: &Path) -> PathBuf {
    let mut places = PLACES.iter().map(|place| Path::new(place).join(name));
    let there = places.find(|path| path.exists());
    there.unwrap_or_else(|| Path::new(PLACES[1]).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_looked_for_where_the_unit_takes_it_from_and_a_path_stays() {
        let text = "[mqtt]\nurl = \"mqtt://broker\"\nusername = \"a\"\npassword-file = \"no.such-credential\"\n\
                    [http]\ntoken-file = \"/etc/token\"\n";
        let config = located(Config::parse(text, Path::new("test.toml")).unwrap());
        assert_eq!(
            config.mqtt.unwrap().password_file.unwrap(),
            Path::new("/etc/credstore/no.such-credential")
        );
        assert_eq!(config.http.token_file.unwrap(), Path::new("/etc/token"));
    }
}
