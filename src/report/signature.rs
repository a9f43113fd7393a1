//! Signed commands: a broker that has been taken over can then read and delay, and ask for nothing.
//!
//! Ed25519 (RFC 8032) over the addressee, the operation and the command's very text; the keys are PEM files
//! as `openssl pkey -pubout` writes them (RFC 8410, section 4).

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls_pki_types::SubjectPublicKeyInfoDer;
use rustls_pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};

use crate::config::secret;
use crate::protocol::{Failure, Reason};

/// What stands before the key's 32 bytes in a SubjectPublicKeyInfo of Ed25519 (RFC 8410, section 4).
const ED25519_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// What a device that trusts keys expects on a command topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedCommand {
    /// The text of the command, exactly as it was signed.
    pub command: String,
    /// Base64 of the signature of [`message`].
    pub signature: String,
}

/// What is signed: it names the addressee and the operation, so that a command can neither be turned to
/// another device nor into another operation. The addressee is the device's name, or `group/` and the group's.
pub fn message(addressee: &str, operation: &str, command: &str) -> String {
    format!("ostler-command-1\n{addressee}\n{operation}\n{command}")
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{} is no Ed25519 public key in PEM: {problem}", path.display())]
pub struct BadKey {
    path: PathBuf,
    problem: String,
    /// Whether waiting is no help: the file was read.
    pub is_lasting: bool,
}

/// The keys whose commands are taken. Without any, signatures are not asked for.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys(Vec<[u8; 32]>);

impl TrustedKeys {
    /// Reads the key files.
    ///
    /// # Errors
    /// Names the first file that holds no such key.
    pub fn read(paths: &[PathBuf]) -> Result<Self, BadKey> {
        paths
            .iter()
            .map(|path| read_key(path))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The text of the command in `payload`: all of it where no key is trusted, else what a trusted key has signed.
    ///
    /// # Errors
    /// `malformed` or `unauthorised`.
    pub fn open(
        &self,
        addressee: &str,
        operation: &str,
        payload: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        if self.0.is_empty() {
            return Ok(payload.to_vec());
        }
        let signed: SignedCommand = serde_json::from_slice(payload).map_err(|error| {
            let message =
                format!("this device takes signed commands only, and this is none: {error}");
            Failure::new(Reason::Unauthorised, message)
        })?;
        let signature = STANDARD.decode(&signed.signature).map_err(|error| {
            Failure::new(
                Reason::Malformed,
                format!("the signature is not base64: {error}"),
            )
        })?;
        let message = message(addressee, operation, &signed.command);
        let trusted = |key: &[u8; 32]| {
            UnparsedPublicKey::new(&ED25519, key)
                .verify(message.as_bytes(), &signature)
                .is_ok()
        };
        if self.0.iter().any(trusted) {
            return Ok(signed.command.into_bytes());
        }
        let message =
            format!("no trusted key has signed this command for {addressee} and {operation}");
        Err(Failure::new(Reason::Unauthorised, message))
    }
}

fn read_key(path: &Path) -> Result<[u8; 32], BadKey> {
    let bad = |problem: String| BadKey {
        path: path.to_owned(),
        problem,
        is_lasting: true,
    };
    let pem = secret::read_public(path).map_err(|error| BadKey {
        is_lasting: error.is_lasting(),
        ..bad(error.to_string())
    })?;
    let der = SubjectPublicKeyInfoDer::from_pem_slice(pem.as_bytes())
        .map_err(|error| bad(error.to_string()))?;
    let key = der
        .strip_prefix(&ED25519_PREFIX)
        .ok_or_else(|| bad("it is a key of another kind".to_owned()))?;
    key.try_into()
        .map_err(|_| bad(format!("it has {} bytes, not 32", key.len())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    fn key(seed: u8) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
    }

    fn trusting(pair: &Ed25519KeyPair) -> TrustedKeys {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operator.pem");
        let der = [&ED25519_PREFIX[..], pair.public_key().as_ref()].concat();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(der)
        );
        crate::durable::write(&path, pem.as_bytes(), 0o644).unwrap();
        TrustedKeys::read(&[path]).unwrap()
    }

    fn sign(pair: &Ed25519KeyPair, addressee: &str, operation: &str, command: &str) -> Vec<u8> {
        let signature =
            STANDARD.encode(pair.sign(message(addressee, operation, command).as_bytes()));
        serde_json::to_vec(&SignedCommand {
            command: command.to_owned(),
            signature,
        })
        .unwrap()
    }

    #[test]
    fn only_what_a_trusted_key_signed_for_this_device_and_operation_is_opened() {
        let keys = trusting(&key(1));
        let command = r#"{"id":"1"}"#;
        let payload = sign(&key(1), "attic", "restart", command);
        assert_eq!(
            keys.open("attic", "restart", &payload),
            Ok(command.as_bytes().to_vec())
        );
        for (addressee, operation, payload) in [
            ("cellar", "restart", payload.clone()),
            ("attic", "stop", payload.clone()),
            (
                "attic",
                "restart",
                sign(&key(2), "attic", "restart", command),
            ),
            (
                "attic",
                "restart",
                String::from_utf8(payload)
                    .unwrap()
                    .replace("\\\"1\\\"", "\\\"2\\\"")
                    .into_bytes(),
            ),
            ("attic", "restart", command.as_bytes().to_vec()),
        ] {
            let failure = keys.open(addressee, operation, &payload).unwrap_err();
            assert_eq!(failure.reason, Reason::Unauthorised, "{}", failure.message);
        }
        let garbled = br#"{"command":"{}","signature":"%%"}"#;
        assert_eq!(
            keys.open("attic", "restart", garbled).unwrap_err().reason,
            Reason::Malformed
        );
    }

    #[test]
    fn without_trusted_keys_the_payload_is_the_command() {
        assert_eq!(
            TrustedKeys::default().open("attic", "stop", b"{}"),
            Ok(b"{}".to_vec())
        );
    }

    #[test]
    fn a_file_that_is_no_key_is_named() {
        let error = TrustedKeys::read(&[PathBuf::from("/nonexistent/key.pem")]).unwrap_err();
        assert!(!error.is_lasting, "{error}");
        assert!(
            error.to_string().contains("/nonexistent/key.pem"),
            "{error}"
        );
        let other = tempfile::NamedTempFile::new().unwrap();
        let error = TrustedKeys::read(&[other.path().to_owned()]).unwrap_err();
        assert!(error.is_lasting, "{error}");
    }

    #[test]
    fn a_key_that_others_could_replace_is_not_trusted() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("operator.pem");
        crate::durable::write(&path, b"-----BEGIN PUBLIC KEY-----\n", 0o644).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let error = TrustedKeys::read(&[path]).unwrap_err().to_string();
        assert!(error.contains("666"), "{error}");
        // As the name of a credential, which only the unit has.
        let error = TrustedKeys::read(&[PathBuf::from("ostler.operator")]).unwrap_err();
        assert!(error.to_string().contains("credential"), "{error}");
    }
}
