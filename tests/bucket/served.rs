//! A bucket behind a network: rclone's own WebDAV and SFTP servers on the loopback, with a password in the configuration file.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ostler::clock::Timestamp;
use ostler::data::{Bucket, Control};

use crate::inventory::{Inn, data_of, fetch, miner};
use crate::snapshots::picture;

const DEADLINE: Duration = Duration::from_secs(20);

/// The protocols, and by what an upload is compared: a server without hashes shows sizes, and that is said.
const PROTOCOLS: [(&str, &str); 2] = [("webdav", "size"), ("sftp", "md5")];

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(inn: &Inn, protocol: &str) -> (Server, Bucket) {
    fs::create_dir(inn.place()).unwrap();
    // The port may be taken by somebody else in between: then the server ends, and the next is tried.
    for _ in 0..5 {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = Command::new("rclone")
            .args([
                "serve", protocol, "--user", "inn", "--pass", "hay", "--config", "",
            ])
            .arg(format!("--addr=127.0.0.1:{port}"))
            .arg(inn.place())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server(child);
        let begun = Instant::now();
        while begun.elapsed() < DEADLINE && server.0.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return (server, remote(inn, protocol, port));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    panic!("rclone does not serve");
}

fn remote(inn: &Inn, protocol: &str, port: u16) -> Bucket {
    let password = Command::new("rclone")
        .args(["obscure", "hay"])
        .output()
        .unwrap();
    let config = inn.path("rclone.conf");
    let place = match protocol {
        "webdav" => format!("url = http://127.0.0.1:{port}\nvendor = other"),
        _ => format!("host = 127.0.0.1\nport = {port}"),
    };
    let text = format!(
        "[barn]\ntype = {protocol}\n{place}\nuser = inn\npass = {}",
        String::from_utf8(password.stdout).unwrap()
    );
    fs::write(&config, text).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    Bucket {
        remote: "barn:snapshots".to_owned(),
        config_file: Some(ostler::data::bucket::ConfigFile::new(move || {
            Ok(config.clone())
        })),
        ..inn.bucket()
    }
}

#[test]
fn a_bucket_behind_a_network_is_filled_tidied_and_read() {
    for (protocol, compared_by) in PROTOCOLS {
        filled_tidied_and_read(protocol, compared_by);
    }
}

fn filled_tidied_and_read(protocol: &str, compared_by: &str) {
    let inn = Inn::new(250);
    let (_server, bucket) = serve(&inn, protocol);
    let control = &mut Control::unlimited();
    for snapshot in ["first", "second", "third"] {
        inn.take(snapshot);
        let sent = inn.upload(&bucket, snapshot).unwrap();
        assert!(sent.sent > 0);
        assert_eq!(sent.compared_by, compared_by, "{protocol}");
        inn.grow(60);
    }
    assert!(inn.upload(&bucket, "third").unwrap().already);
    let now = Timestamp::now();
    let tidied = bucket.tidy(&inn.store, &miner(), now, control).unwrap();
    assert_eq!(tidied.snapshots, ["first"]);
    let late = Timestamp::from_unix_seconds(now.unix_seconds() + 7200).unwrap();
    let tidied = bucket.tidy(&inn.store, &miner(), late, control).unwrap();
    assert!(tidied.objects > 0);
    let store = inn.empty_store();
    fetch(&bucket, &store, None).unwrap();
    assert_eq!(
        picture(&data_of(&store, "third")),
        picture(&data_of(&inn.store, "third"))
    );
}

#[test]
fn a_server_that_goes_away_is_an_error_and_the_upload_is_continued_later() {
    let inn = Inn::new(150);
    inn.take("first");
    let (server, bucket) = serve(&inn, "webdav");
    drop(server);
    let message = inn.upload(&bucket, "first").unwrap_err().to_string();
    assert!(message.contains("refused"), "{message}");
    assert!(!message.contains("hay"), "{message}");
    fs::remove_dir_all(inn.place()).unwrap();
    let (_server, bucket) = serve(&inn, "webdav");
    inn.upload(&bucket, "first").unwrap();
    fetch(&bucket, &inn.empty_store(), None).unwrap();
}
