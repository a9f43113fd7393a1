//! SHA-256 as people and commands write it.

use std::fmt;

use serde::Deserialize;

/// A SHA-256: 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Sha256([u8; 32]);

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 64 hexadecimal digits")]
pub struct BadSha256;

impl Sha256 {
    /// What ring has worked out with its SHA-256.
    pub fn of(digest: &ring::digest::Digest) -> Self {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest.as_ref());
        Self(sum)
    }
}

impl TryFrom<String> for Sha256 {
    type Error = BadSha256;

    fn try_from(text: String) -> Result<Self, BadSha256> {
        let hash = blake3::Hash::from_hex(text.to_ascii_lowercase()).map_err(|_| BadSha256)?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl std::str::FromStr for Sha256 {
    type Err = BadSha256;

    fn from_str(text: &str) -> Result<Self, BadSha256> {
        Self::try_from(text.to_owned())
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_64_digits() {
        let digits = "AB".repeat(32);
        let read: Sha256 = digits.parse().unwrap();
        assert_eq!(read.to_string(), digits.to_lowercase());
        for bad in ["", "ab", &"zz".repeat(32), &"ab".repeat(33)] {
            assert_eq!(bad.parse::<Sha256>(), Err(BadSha256), "{bad}");
        }
    }

    #[test]
    fn it_is_that_of_the_standard() {
        let digest = ring::digest::digest(&ring::digest::SHA256, b"abc");
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Sha256::of(&digest).to_string(), known);
    }
}
