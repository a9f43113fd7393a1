//! The checksum of an SS58 address (docs.substrate.io, "SS58"): the last two bytes are the first two of the BLAKE2b of the
//! rest, behind `SS58PRE`.

use blake2::{Blake2b512, Digest};

const ALPHABET: &[u8] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/// The kind of network, 32 bytes of a key, two of a checksum.
const BYTES: usize = 35;

/// Whether the checksum of an address of the generic network (42) is right.
pub(crate) fn is_checksummed(address: &str) -> bool {
    let Some(bytes) = decoded(address) else {
        return false;
    };
    let (body, sum) = bytes.split_at(BYTES - 2);
    let hash = Blake2b512::new()
        .chain_update(b"SS58PRE")
        .chain_update(body)
        .finalize();
    body[0] == 42 && hash[..2] == *sum
}

/// Base58 of exactly so many bytes.
fn decoded(address: &str) -> Option<[u8; BYTES]> {
    let mut bytes = [0u8; BYTES];
    for digit in address.bytes() {
        let mut carry = ALPHABET.iter().position(|letter| *letter == digit)? as u32;
        for byte in bytes.iter_mut().rev() {
            carry += u32::from(*byte) * 58;
            *byte = carry as u8;
            carry >>= 8;
        }
        if carry > 0 {
            return None;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hotkey_with_a_wrong_letter_is_noticed() {
        // Alice, the well-known development account of Substrate.
        let alice = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
        assert!(is_checksummed(alice));
        assert!(!is_checksummed(&alice.replace("zXb2", "zXc2")));
        for other in ["", "1", "0", &"z".repeat(48), &alice[1..]] {
            assert!(!is_checksummed(other), "{other}");
        }
    }
}
