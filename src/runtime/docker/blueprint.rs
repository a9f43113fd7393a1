//! What a container's successor is created with: everything that was asked for the container, and nothing that its old
//! image brought along.

use serde_json::{Map, Value, json};

/// How many characters of a container's id stand for it, as a host name and as an alias.
const SHORT_ID: usize = 12;

/// What an image brings, one thing each: of the container's own where it is another.
const IMAGE_HAS: [&str; 7] = [
    "WorkingDir",
    "User",
    "Healthcheck",
    "StopSignal",
    "Shell",
    "OnBuild",
    "ArgsEscaped",
];

/// What an image brings, as sets that the container adds to.
const IMAGE_ADDS: [&str; 3] = ["Labels", "Volumes", "ExposedPorts"];

/// What of an endpoint was asked for; the rest the engine made up when the container was started.
const ENDPOINT: [&str; 6] = [
    "IPAMConfig",
    "Links",
    "Aliases",
    "DriverOpts",
    "GwPriority",
    "MacAddress",
];

/// How to create a successor.
#[derive(Debug, PartialEq)]
pub(super) struct Blueprint {
    /// The body of `POST /containers/create`.
    pub body: Value,
    /// The networks that it is connected to afterwards, for older engines take one at creation.
    pub networks: Vec<(String, Value)>,
}

impl Blueprint {
    /// From `GET /containers/{id}/json` of the container and `GET /images/{id}/json` of the image that it was made from.
    pub(super) fn of(container: &Value, image: &Value) -> Self {
        let mode = container["HostConfig"]["NetworkMode"]
            .as_str()
            .unwrap_or("default")
            .to_owned();
        let mut body = config(container, image, &mode);
        body.insert("HostConfig".to_owned(), host_config(container));
        let (first, networks) = endpoints(container, &mode);
        if let Some((name, endpoint)) = first {
            let endpoints = Map::from_iter([(name, endpoint)]);
            body.insert(
                "NetworkingConfig".to_owned(),
                json!({"EndpointsConfig": endpoints}),
            );
        }
        Self {
            body: Value::Object(body),
            networks,
        }
    }
}

fn config(container: &Value, image: &Value, mode: &str) -> Map<String, Value> {
    let mut config = container["Config"].as_object().cloned().unwrap_or_default();
    let brought = &image["Config"];
    for key in IMAGE_HAS {
        if config.get(key) == brought.get(key) {
            config.remove(key);
        }
    }
    // A command goes with its entry point: an image's own is not taken beside another entry point.
    if same(config.get("Entrypoint"), brought.get("Entrypoint")) {
        config.remove("Entrypoint");
        if same(config.get("Cmd"), brought.get("Cmd")) {
            config.remove("Cmd");
        }
    }
    for key in IMAGE_ADDS {
        if let (Some(Value::Object(own)), Some(brought)) =
            (config.get_mut(key), brought[key].as_object())
        {
            own.retain(|name, value| brought.get(name) != Some(value));
        }
    }
    if let (Some(Value::Array(own)), Some(brought)) =
        (config.get_mut("Env"), brought["Env"].as_array())
    {
        own.retain(|variable| !brought.contains(variable));
    }
    let short = short_id(container);
    if config.get("Hostname").and_then(Value::as_str) == Some(short) {
        config.remove("Hostname");
    }
    if mode.starts_with("container:") {
        // Those of the other container.
        for key in ["Hostname", "Domainname", "ExposedPorts"] {
            config.remove(key);
        }
    }
    config
}

/// Nothing and `null` are the same to the engine.
fn same(one: Option<&Value>, other: Option<&Value>) -> bool {
    one.filter(|value| !value.is_null()) == other.filter(|value| !value.is_null())
}

fn host_config(container: &Value) -> Value {
    let mut host = container["HostConfig"].clone();
    // Shown as `/other:/this/alias`, taken as `other:alias`.
    if let Some(Value::Array(links)) = host.get_mut("Links") {
        for link in links {
            if let Some((other, alias)) = link.as_str().and_then(|link| link.split_once(':')) {
                let alias = alias.rsplit('/').next().unwrap_or(alias);
                *link = json!(format!("{}:{alias}", other.trim_start_matches('/')));
            }
        }
    }
    for mount in container["Mounts"].as_array().into_iter().flatten() {
        if mount["Type"] == "volume" {
            keep_volume(&mut host, mount);
        }
    }
    host
}

/// A volume that was made for the container alone has no name in its configuration: it is given the one that it has.
fn keep_volume(host: &mut Value, mount: &Value) {
    let (Some(name), Some(destination)) = (mount["Name"].as_str(), mount["Destination"].as_str())
    else {
        return;
    };
    let meant = |bind: &Value| {
        let bind = bind.as_str().unwrap_or_default();
        bind.split(':').nth(1) == Some(destination)
    };
    if host["Binds"]
        .as_array()
        .is_some_and(|binds| binds.iter().any(meant))
    {
        return;
    }
    let mounts = host.get_mut("Mounts").and_then(Value::as_array_mut);
    for own in mounts.into_iter().flatten() {
        if own["Target"] == destination {
            own["Source"] = json!(name);
            return;
        }
    }
    let read_only = match mount["RW"] == false {
        true => ":ro",
        false => "",
    };
    let bind = json!(format!("{name}:{destination}{read_only}"));
    match &mut host["Binds"] {
        Value::Array(binds) => binds.push(bind),
        none => *none = json!([bind]),
    }
}

type Endpoint = (String, Value);

/// The network of the mode, and all others.
fn endpoints(container: &Value, mode: &str) -> (Option<Endpoint>, Vec<Endpoint>) {
    // These are named by the mode alone.
    let fixed = ["host", "none"].contains(&mode) || mode.starts_with("container:");
    if fixed {
        return (None, Vec::new());
    }
    let short = short_id(container);
    let networks = container["NetworkSettings"]["Networks"].as_object();
    let (mut first, mut others) = (None, Vec::new());
    for (name, endpoint) in networks.into_iter().flatten() {
        let asked = endpoint_asked(endpoint, short);
        if name == "bridge" {
            // It has neither aliases nor addresses to be asked for.
            if !["default", "bridge"].contains(&mode) {
                others.push((name.clone(), json!({})));
            }
        } else if name == mode || endpoint["NetworkID"] == mode {
            first = Some((name.clone(), asked));
        } else {
            others.push((name.clone(), asked));
        }
    }
    (first, others)
}

fn endpoint_asked(endpoint: &Value, short: &str) -> Value {
    let mut asked = Map::new();
    for key in ENDPOINT {
        let value = match (&endpoint[key], key) {
            (Value::Null, _) => continue,
            (Value::Array(aliases), "Aliases") => {
                let own = aliases.iter().filter(|alias| *alias != short);
                Value::Array(own.cloned().collect())
            }
            (value, _) => value.clone(),
        };
        asked.insert(key.to_owned(), value);
    }
    Value::Object(asked)
}

fn short_id(container: &Value) -> &str {
    let id = container["Id"].as_str().unwrap_or_default();
    id.get(..SHORT_ID).unwrap_or(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6a2289280243c8558f8ffb83af5cca545f804b3e6518b2044b686f3a4a8ba05c";

    fn blueprint(config: Value, host: Value, rest: Value) -> Blueprint {
        let image = json!({"Config": {
            "Env": ["PATH=/bin", "REGION=US915"], "Cmd": ["run"], "Entrypoint": ["/miner"],
            "WorkingDir": "/opt", "User": "", "Labels": {"vendor": "a", "version": "1"},
            "Volumes": {"/var/data": {}}, "ExposedPorts": {"44158/tcp": {}},
        }});
        let mut container = json!({"Id": ID, "Config": config, "HostConfig": host});
        if let (Value::Object(container), Value::Object(rest)) = (&mut container, rest) {
            container.extend(rest);
        }
        Blueprint::of(&container, &image)
    }

    #[test]
    fn what_the_old_image_brought_is_left_to_the_new_one() {
        let config = json!({
            "Hostname": &ID[..12], "Image": "miner:GA", "Cmd": ["run"], "Entrypoint": ["/miner"], "WorkingDir": "/opt",
            "User": "", "Env": ["PATH=/bin", "REGION=EU868", "GW_LISTEN=1"],
            "Labels": {"vendor": "a", "version": "1", "com.docker.compose.service": "miner"},
            "Volumes": {"/var/data": {}}, "ExposedPorts": {"44158/tcp": {}, "1680/udp": {}}, "StopTimeout": 60,
        });
        let made = blueprint(config, json!({}), json!({})).body;
        assert_eq!(
            made,
            json!({
                "Image": "miner:GA", "Env": ["REGION=EU868", "GW_LISTEN=1"],
                "Labels": {"com.docker.compose.service": "miner"}, "Volumes": {}, "ExposedPorts": {"1680/udp": {}},
                "StopTimeout": 60, "HostConfig": {},
            })
        );
    }

    #[test]
    fn a_command_stays_with_an_entry_point_of_the_containers_own() {
        let own = json!({"Image": "a", "Entrypoint": ["/bin/sh"], "Cmd": ["run"]});
        let made = blueprint(own, json!({}), json!({})).body;
        assert_eq!(
            (&made["Entrypoint"], &made["Cmd"]),
            (&json!(["/bin/sh"]), &json!(["run"]))
        );
        let cleared = json!({"Image": "a", "Entrypoint": ["/bin/sh"], "Cmd": null});
        let made = blueprint(cleared, json!({}), json!({})).body;
        assert_eq!(made["Entrypoint"], json!(["/bin/sh"]));
        let command = json!({"Image": "a", "Entrypoint": ["/miner"], "Cmd": ["repair"]});
        let made = blueprint(command, json!({}), json!({})).body;
        assert_eq!(
            (&made["Entrypoint"], &made["Cmd"]),
            (&Value::Null, &json!(["repair"]))
        );
    }

    #[test]
    fn volumes_keep_their_names() {
        let host = json!({
            "Binds": ["/opt/miner:/var/data"], "Links": ["/broker:/miner/mqtt"],
            "Mounts": [{"Type": "volume", "Target": "/snap"}], "Privileged": true,
        });
        let mounts = json!({"Mounts": [
            {"Type": "bind", "Source": "/opt/miner", "Destination": "/var/data", "RW": true},
            {"Type": "volume", "Name": "1f2e", "Destination": "/snap", "RW": true},
            {"Type": "volume", "Name": "9a8b", "Destination": "/log", "RW": false},
        ]});
        let made = blueprint(json!({}), host, mounts).body;
        assert_eq!(
            made["HostConfig"],
            json!({
                "Binds": ["/opt/miner:/var/data", "9a8b:/log:ro"], "Links": ["broker:mqtt"],
                "Mounts": [{"Type": "volume", "Target": "/snap", "Source": "1f2e"}], "Privileged": true,
            })
        );
    }

    #[test]
    fn networks_keep_what_was_asked_of_them() {
        let networks = json!({"NetworkSettings": {"Networks": {
            "bridge": {"NetworkID": "b", "IPAddress": "172.17.0.2"},
            "home": {
                "NetworkID": "h", "IPAddress": "10.0.0.9", "IPAMConfig": {"IPv4Address": "10.0.0.9"},
                "Aliases": ["hotspot", &ID[..12]], "Links": null,
            },
        }}});
        let made = blueprint(json!({}), json!({"NetworkMode": "home"}), networks.clone());
        let asked = json!({"IPAMConfig": {"IPv4Address": "10.0.0.9"}, "Aliases": ["hotspot"]});
        assert_eq!(
            made.body["NetworkingConfig"],
            json!({"EndpointsConfig": {"home": asked}})
        );
        assert_eq!(made.networks, [("bridge".to_owned(), json!({}))]);

        let default = blueprint(
            json!({}),
            json!({"NetworkMode": "default"}),
            networks.clone(),
        );
        assert_eq!(default.body["NetworkingConfig"], Value::Null);
        assert_eq!(default.networks, [("home".to_owned(), asked)]);

        let host = blueprint(json!({}), json!({"NetworkMode": "host"}), networks);
        assert_eq!(
            (&host.body["NetworkingConfig"], host.networks.len()),
            (&Value::Null, 0)
        );
        let shared = json!({"Hostname": "other", "Image": "a"});
        let shared = blueprint(shared, json!({"NetworkMode": "container:4711"}), json!({}));
        assert_eq!(shared.body["Hostname"], Value::Null);
    }
}
