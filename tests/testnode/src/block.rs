//! One block: what a value in the chain's database is.
//!
//! A block names the hash of the block before it, and carries the running total of everything in all
//! payloads up to and including its own. So a wrong byte anywhere is seen twice: the hash that the next
//! block (or the head) holds does not match, and the total does not add up.

use std::time::{SystemTime, UNIX_EPOCH};

/// A BLAKE3 hash.
pub type Hash = [u8; 32];

/// Bytes before the payload.
pub const HEADER: usize = 64;

/// Number of accounts in the ledger.
pub const ACCOUNTS: u64 = 256;

/// Why bytes are not a block.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Shorter than a header, or not as long as its header says.
    #[error("a block of {0} bytes has not the length that it should have")]
    Length(usize),
}

/// A block, decoded. Integers are stored little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its place in the chain; the first block of a whole chain is 1.
    pub height: u64,
    /// When it was made, in milliseconds since 1970; it makes every chain unlike any other.
    pub time: u64,
    /// The hash of the block before it.
    pub previous: Hash,
    /// The running total: that of the block before it plus `amount`.
    pub total: u64,
    /// What stands for the transactions.
    pub payload: Vec<u8>,
}

impl Block {
    /// The block after (`height` - 1, `previous`, `total`), with a fresh payload of `size` bytes.
    pub fn after(height: u64, previous: Hash, total: u64, size: usize) -> Self {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        let payload = payload(height ^ time.rotate_left(32), size);
        let total = total.wrapping_add(amount(&payload));
        Self {
            height,
            time,
            previous,
            total,
            payload,
        }
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut value = Vec::with_capacity(HEADER + self.payload.len());
        value.extend_from_slice(&self.height.to_le_bytes());
        value.extend_from_slice(&self.time.to_le_bytes());
        value.extend_from_slice(&self.previous);
        value.extend_from_slice(&self.total.to_le_bytes());
        value.extend_from_slice(&(self.payload.len() as u64).to_le_bytes());
        value.extend_from_slice(&self.payload);
        value
    }

    /// Reads the stored form.
    pub fn decode(value: &[u8]) -> Result<Self, Error> {
        let length = || Error::Length(value.len());
        let (header, payload) = value.split_at_checked(HEADER).ok_or_else(length)?;
        let word = |at: usize| -> u64 {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            u64::from_le_bytes(bytes)
        };
        if word(56) != payload.len() as u64 {
            return Err(length());
        }
        let mut previous = [0; 32];
        previous.copy_from_slice(&header[16..48]);
        Ok(Self {
            height: word(0),
            time: word(8),
            previous,
            total: word(48),
            payload: payload.to_vec(),
        })
    }

    /// What the block moves: the sum of its payload's words.
    pub fn amount(&self) -> u64 {
        amount(&self.payload)
    }

    /// The account that the block pays.
    pub fn account(&self) -> u64 {
        self.payload
            .first()
            .map_or(0, |byte| u64::from(*byte) % ACCOUNTS)
    }
}

/// The hash of a stored block.
pub fn hash(value: &[u8]) -> Hash {
    *blake3::hash(value).as_bytes()
}

/// The key of the block at `height`: big-endian, so that the database's order is the chain's.
pub fn key(height: u64) -> [u8; 8] {
    height.to_be_bytes()
}

/// The sum of the words, little-endian, the last one padded with zeros.
fn amount(payload: &[u8]) -> u64 {
    payload.chunks(8).fold(0, |sum: u64, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        sum.wrapping_add(u64::from_le_bytes(word))
    })
}

/// Bytes like a chain's: half of them keys and signatures (random), half of them repetitive records.
fn payload(seed: u64, size: usize) -> Vec<u8> {
    const RECORD: &[u8; 32] = b"payment_v2 fee=35000 nonce=0001 ";
    let mut state = seed | 1;
    let mut bytes = Vec::with_capacity(size + 64);
    while bytes.len() < size {
        for _ in 0..4 {
            // xorshift64*: fast, and incompressible enough.
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d);
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(RECORD);
    }
    bytes.truncate(size);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_its_stored_form() {
        for size in [0, 1, 7, 8, 4096] {
            let block = Block::after(7, [3; 32], 11, size);
            assert_eq!(block.payload.len(), size);
            assert_eq!(Block::decode(&block.encode()).unwrap(), block);
        }
    }

    #[test]
    fn a_block_of_another_length_is_refused() {
        let value = Block::after(1, [0; 32], 0, 100).encode();
        assert!(Block::decode(&value[..value.len() - 1]).is_err());
        assert!(Block::decode(&value[..HEADER - 1]).is_err());
        assert!(Block::decode(&[&value[..], &[0]].concat()).is_err());
    }

    #[test]
    fn every_byte_of_the_payload_counts_in_the_amount() {
        let payload = payload(5, 203);
        for at in 0..payload.len() {
            let mut other = payload.clone();
            other[at] ^= 0x10;
            assert_ne!(amount(&other), amount(&payload), "byte {at}");
        }
    }
}
