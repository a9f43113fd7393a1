//! The doctor on certificates, made by OpenSSL for each case and shown by a real broker.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::broker::{Broker, Setup};
use crate::doctor_install::{check, doctor};

/// Good long ago, not yet, and for long.
const PAST: [&str; 2] = ["20200101000000Z", "20210101000000Z"];
const LATER: [&str; 2] = ["20900101000000Z", "20950101000000Z"];
const LONG: [&str; 2] = ["20200101000000Z", "20950101000000Z"];

/// A broker with TLS, and a host's configuration that names the files of its directory.
struct Lab {
    broker: Broker,
    state: tempfile::TempDir,
}

impl Lab {
    fn start() -> Self {
        let tls = Setup {
            tls: true,
            ..Setup::default()
        };
        Self {
            broker: Broker::start_with(tls),
            state: tempfile::tempdir().unwrap(),
        }
    }

    async fn doctor(&self, authority: &str) -> Value {
        let config = format!(
            "state-dir = {:?}\n[mqtt]\nurl = \"mqtts://localhost:{}\"\nca-file = {:?}\ncert-file = {:?}\nkey-file = {:?}\n",
            self.state.path(),
            self.broker.port,
            self.broker.path(authority),
            self.broker.path("client.pem"),
            self.broker.path("client.key"),
        );
        doctor(&self.state.path().join("ostler.toml"), &config).await
    }

    /// Has the authority sign that key anew, for another time; its own as well.
    fn sign(&self, name: &str, [from, until]: [&str; 2]) {
        let directory = self.broker.path("");
        let at = |name: &str| directory.join(name);
        let own = name == "ca";
        let config = "[ca]\ndefault_ca = lab\n[lab]\ndatabase = index\nserial = serials\nnew_certs_dir = .\n\
                      default_md = sha256\npolicy = any\nunique_subject = no\ncopy_extensions = copy\n\
                      [any]\ncommonName = supplied\n[authority]\nbasicConstraints = critical,CA:true\n";
        for (file, text) in [("ca.cnf", config), ("index", ""), ("serials", "1000\n")] {
            ostler::durable::write(&at(file), text.as_bytes(), 0o600).unwrap();
        }
        if own {
            openssl(&directory, "req -new -key ca.key -subj /CN=lab -out ca.csr");
        }
        let who = match own {
            true => "-selfsign -extensions authority",
            false => "-cert ca.pem",
        };
        openssl(
            &directory,
            &format!(
                "ca -batch -notext -config ca.cnf -keyfile ca.key {who} -in {name}.csr -out {name}.pem -startdate {from} -enddate {until}"
            ),
        );
    }

    /// The broker takes the certificate that it has now.
    fn renew(&mut self) {
        self.broker.kill();
        self.broker.resume_service();
    }
}

fn openssl(directory: &Path, arguments: &str) {
    let done = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("openssl is installed");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "openssl {arguments}: {said}");
}

#[track_caller]
fn judged(findings: &Value, name: &str, words: &str, verdict: &str, advice: &str) {
    let check = check(findings, name, words);
    assert_eq!(check["verdict"], verdict, "{check}");
    let told = check["advice"].as_str().unwrap_or_default();
    assert!(told.contains(advice), "{check}");
}

#[tokio::test]
async fn certificates_that_end_soon_are_told_of_with_their_days_and_those_that_do_not_are_well() {
    let mut lab = Lab::start();
    // As they come from the lab they are good for two days.
    let findings = lab.doctor("ca.pem").await;
    judged(&findings, "broker", "trusted", "ok", "");
    judged(
        &findings,
        "broker certificate",
        "days left",
        "warn",
        "renewed",
    );
    judged(
        &findings,
        "broker authority",
        "days left",
        "warn",
        "`ca-file`",
    );
    judged(
        &findings,
        "client certificate",
        "days left",
        "warn",
        "`cert-file`",
    );

    for name in ["ca", "server", "client"] {
        lab.sign(name, LONG);
    }
    lab.renew();
    let findings = lab.doctor("ca.pem").await;
    for name in [
        "broker certificate",
        "broker authority",
        "client certificate",
    ] {
        judged(&findings, name, "until 2095-01-01", "ok", "");
    }
}

#[tokio::test]
async fn certificates_past_their_end_are_found_and_what_to_do_is_said() {
    let mut lab = Lab::start();
    lab.sign("server", PAST);
    lab.sign("client", PAST);
    lab.renew();
    let findings = lab.doctor("ca.pem").await;
    judged(&findings, "broker", "cannot be reached", "fail", "clock");
    judged(
        &findings,
        "broker certificate",
        "ended on 2021-01-01",
        "fail",
        "renewed",
    );
    judged(
        &findings,
        "client certificate",
        "ended on 2021-01-01",
        "fail",
        "`cert-file`",
    );
}

#[tokio::test]
async fn certificates_before_their_time_send_one_to_the_clock() {
    let mut lab = Lab::start();
    lab.sign("server", LATER);
    lab.sign("client", LATER);
    lab.renew();
    let findings = lab.doctor("ca.pem").await;
    judged(&findings, "broker", "cannot be reached", "fail", "clock");
    for name in ["broker certificate", "client certificate"] {
        judged(
            &findings,
            name,
            "not good before 2090-01-01",
            "fail",
            "timedatectl",
        );
    }
}

/// The agent trusts whom it was told to trust, whenever that was meant to end: what it is told of is no more than a warning.
#[tokio::test]
async fn an_authority_past_its_end_or_before_its_time_is_told_of() {
    let lab = Lab::start();
    lab.sign("ca", PAST);
    let findings = lab.doctor("ca.pem").await;
    judged(&findings, "broker", "trusted", "ok", "");
    judged(
        &findings,
        "broker authority",
        "ended on 2021-01-01",
        "warn",
        "`ca-file`",
    );

    lab.sign("ca", LATER);
    let findings = lab.doctor("ca.pem").await;
    judged(
        &findings,
        "broker authority",
        "not good before 2090-01-01",
        "warn",
        "timedatectl",
    );
}

#[tokio::test]
async fn a_stranger_is_not_trusted_and_a_file_that_holds_no_certificate_is_named() {
    let lab = Lab::start();
    let findings = lab.doctor("other-ca.pem").await;
    judged(
        &findings,
        "broker",
        "cannot be reached",
        "fail",
        "`ca-file`",
    );
    check(&findings, "broker certificate", "days left");

    let findings = lab.doctor("mosquitto.conf").await;
    judged(
        &findings,
        "broker authority",
        "mosquitto.conf",
        "fail",
        "`ca-file`",
    );
}
