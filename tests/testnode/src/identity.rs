//! Who the miner is: a key file, and the public key and three-word name that follow from it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const MOODS: [&str; 16] = [
    "brave", "calm", "dapper", "eager", "faint", "gentle", "happy", "icy", "jolly", "keen",
    "lucky", "mellow", "noisy", "odd", "proud", "quiet",
];
const COLOURS: [&str; 16] = [
    "amber", "azure", "beige", "bronze", "coral", "cream", "denim", "ebony", "fawn", "golden",
    "hazel", "indigo", "jade", "khaki", "lilac", "maroon",
];
const ANIMALS: [&str; 16] = [
    "ape", "badger", "camel", "dove", "egret", "ferret", "gecko", "heron", "ibex", "jackal",
    "koala", "lynx", "marmot", "newt", "otter", "puma",
];

/// A miner's public side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The public key, in base 58.
    pub pubkey: String,
    /// The name, in words joined by hyphens.
    pub animal: String,
}

impl Identity {
    /// Reads the key file, and makes one where there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let created = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path);
        match created {
            Ok(mut file) => {
                let mut key = [0; 32];
                File::open("/dev/urandom")?.read_exact(&mut key)?;
                file.write_all(&key)?;
                file.sync_all()?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        Self::read(path)
    }

    /// Reads the key file.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&fs::read(path)?))
    }

    /// The identity of a secret, or of any bytes that stand for one.
    pub fn of(secret: &[u8]) -> Self {
        let public = blake3::hash(secret);
        let bytes = public.as_bytes();
        // Network and key type, the key, a checksum: the length of a real one.
        let mut address = vec![0, 1];
        address.extend_from_slice(bytes);
        let check = blake3::hash(&address);
        address.extend_from_slice(&check.as_bytes()[..4]);
        let word = |words: [&'static str; 16], at: usize| words[usize::from(bytes[at] % 16)];
        Self {
            pubkey: base58(&address),
            animal: [word(MOODS, 0), word(COLOURS, 1), word(ANIMALS, 2)].join("-"),
        }
    }
}

fn base58(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = Vec::new();
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) << 8;
            *digit = (carry % 58) as u8;
            carry /= 58;
        }
        while carry > 0 {
            digits.push((carry % 58) as u8);
            carry /= 58;
        }
    }
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let ones = std::iter::repeat_n('1', zeros);
    let rest = digits.iter().rev();
    ones.chain(rest.map(|digit| ALPHABET[usize::from(*digit)] as char))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base58_is_what_others_make_of_it() {
        assert_eq!(base58(b"Hello World!"), "2NEpo7TZRRrLZSi2U");
        assert_eq!(base58(&[0, 0, 0x28, 0x7f, 0xb4, 0xcd]), "11233QC4");
    }

    #[test]
    fn an_identity_stays_with_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("miner/swarm_key");
        let first = Identity::open(&path).unwrap();
        assert_eq!(Identity::open(&path).unwrap(), first);
        assert!((50..=53).contains(&first.pubkey.len()), "{}", first.pubkey);
        fs::remove_file(&path).unwrap();
        assert_ne!(Identity::open(&path).unwrap(), first);
    }
}
