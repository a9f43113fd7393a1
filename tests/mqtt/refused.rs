//! The broker refuses: each way has its text, and none stops the agent.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ostler::report::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::attic::{Attic, settings};
use super::broker::{Broker, Setup};

#[expect(clippy::disallowed_methods, reason = "a file of the lab")]
fn secret(path: &Path, content: &str, mode: u32) {
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_wrong_password_is_told_and_a_mended_file_is_enough() {
    let broker = Broker::start_with(Setup {
        user: Some(("attic", "s3cret")),
        ..Setup::default()
    });
    let file = broker.path("password");
    secret(&file, "wrong\n", 0o600);
    let mut attic = Attic::with(Settings {
        username: Some("attic".to_owned()),
        password_file: Some(file.clone()),
        ..settings(&broker)
    })
    .await;
    attic.not_connected("not authorised").await;
    secret(&file, "s3cret\n", 0o644);
    attic.not_connected("others may read").await;
    secret(&file, "s3cret\n", 0o600);
    let link = attic.connected().await;
    assert!(!format!("{link:?}").contains("s3cret"));
}

fn with_tls(broker: &Broker, client: &str) -> Settings {
    let mut settings = settings(broker);
    settings.broker.tls = true;
    settings.broker.host = "localhost".to_owned();
    settings.ca_file = Some(broker.path("ca.pem"));
    settings.cert_file = Some(broker.path(&format!("{client}.pem")));
    settings.key_file = Some(broker.path(&format!("{client}.key")));
    settings
}

fn tls() -> Setup {
    Setup {
        tls: true,
        ..Setup::default()
    }
}

#[tokio::test]
async fn certificates_on_both_sides_are_accepted_and_wrong_ones_are_told() {
    let broker = Broker::start_with(tls());
    Attic::with(with_tls(&broker, "client"))
        .await
        .connected()
        .await;

    let mut foreign = Attic::with(with_tls(&broker, "foreign-client")).await;
    foreign
        .not_connected("refuses the client certificate")
        .await;

    let none = Settings {
        cert_file: None,
        key_file: None,
        ..with_tls(&broker, "client")
    };
    Attic::with(none)
        .await
        .not_connected("refuses the client certificate")
        .await;

    let untrusting = Settings {
        ca_file: Some(broker.path("other-ca.pem")),
        ..with_tls(&broker, "client")
    };
    Attic::with(untrusting)
        .await
        .not_connected("nobody whom the device trusts")
        .await;

    let mut misnamed = with_tls(&broker, "client");
    misnamed.broker.host = "127.0.0.1".to_owned();
    Attic::with(misnamed)
        .await
        .not_connected("another name")
        .await;

    let plain = Settings {
        broker: settings(&broker).broker,
        ..with_tls(&broker, "client")
    };
    Attic::with(plain)
        .await
        .not_connected("before it said a word")
        .await;
}

#[tokio::test]
async fn a_certificate_that_is_renewed_is_used_without_a_restart() {
    let broker = Broker::start_with(tls());
    let mut settings = with_tls(&broker, "foreign-client");
    let (cert, key) = (broker.path("current.pem"), broker.path("current.key"));
    std::fs::copy(broker.path("foreign-client.pem"), &cert).unwrap();
    std::fs::copy(broker.path("foreign-client.key"), &key).unwrap();
    (settings.cert_file, settings.key_file) = (Some(cert.clone()), Some(key.clone()));
    let mut attic = Attic::with(settings).await;
    attic.not_connected("refuses the client certificate").await;
    std::fs::copy(broker.path("client.pem"), &cert).unwrap();
    std::fs::copy(broker.path("client.key"), &key).unwrap();
    attic.connected().await;
}

#[tokio::test]
async fn a_broker_that_cannot_be_reached_is_told() {
    let mut broker = Broker::start();
    let encrypted = {
        let mut settings = settings(&broker);
        settings.broker.tls = true;
        settings.ca_file = Some("/nonexistent/ca.pem".into());
        settings
    };
    Attic::with(encrypted)
        .await
        .not_connected("/nonexistent/ca.pem")
        .await;
    broker.kill();
    let here = settings(&broker);
    Attic::with(here.clone())
        .await
        .not_connected("refused")
        .await;
    let mut nowhere = here.clone();
    nowhere.broker.host = "broker.invalid".to_owned();
    Attic::with(nowhere)
        .await
        .not_connected("does not resolve")
        .await;
}

/// A broker that refuses the first topic of the first subscription and takes everything else; one connection long.
async fn unwilling(listener: TcpListener) {
    let (mut device, _) = listener.accept().await.unwrap();
    let mut refuses = true;
    while let Ok(kind) = device.read_u8().await {
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = device.read_u8().await.unwrap();
            length |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                break;
            }
        }
        let mut body = vec![0; length];
        device.read_exact(&mut body).await.unwrap();
        let text = |at: usize| usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
        let answer = match kind >> 4 {
            1 => vec![0x20, 2, 0, 0],
            3 => {
                let id = 2 + text(0);
                vec![0x40, 2, body[id], body[id + 1]]
            }
            8 => {
                let (mut codes, mut at) = (Vec::new(), 2);
                while at < body.len() {
                    codes.push(1);
                    at += 2 + text(at) + 1;
                }
                if std::mem::take(&mut refuses) {
                    codes[0] = 0x80;
                }
                let length = 2 + u8::try_from(codes.len()).unwrap();
                [vec![0x90, length, body[0], body[1]], codes].concat()
            }
            _ => continue,
        };
        device.write_all(&answer).await.unwrap();
    }
}

#[tokio::test]
async fn topics_of_commands_that_are_refused_are_told_with_the_link() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut here = settings(&Broker::start());
    here.broker.port = listener.local_addr().unwrap().port();
    tokio::spawn(unwilling(listener));
    let mut attic = Attic::with(here).await;
    let link = attic.connected().await;
    assert_eq!(link.refused, ["ostler/attic/command/+"]);
}
