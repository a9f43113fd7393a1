//! LZ4 blocks (`lz4_Block_format.md`), decompression only: RocksDB compresses index blocks with whatever it compresses
//! tables with, and a table cannot be checked without reading its index.

/// Decompresses `input`, which must give exactly `size` bytes.
pub fn decompress(input: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut output: Vec<u8> = Vec::with_capacity(size.min(1 << 20));
    let mut rest = input;
    loop {
        let token = take(&mut rest, 1)?[0];
        let literals = length(&mut rest, token >> 4)?;
        let literals = take(&mut rest, literals)?;
        if output.len() + literals.len() > size {
            return None;
        }
        output.extend_from_slice(literals);
        // The last sequence has literals only.
        if rest.is_empty() {
            return (output.len() == size).then_some(output);
        }
        let distance = take(&mut rest, 2)?;
        let distance = usize::from(u16::from_le_bytes([distance[0], distance[1]]));
        let matched = length(&mut rest, token & 0x0f)?.checked_add(4)?;
        let start = output
            .len()
            .checked_sub(distance)
            .filter(|_| distance != 0)?;
        if matched > size - output.len() {
            return None;
        }
        // The match may overlap what it produces, so it is copied byte by byte.
        for at in start..start + matched {
            output.push(output[at]);
        }
    }
}

/// A length of four bits, continued in whole bytes when they are all set.
fn length(rest: &mut &[u8], nibble: u8) -> Option<usize> {
    let mut length = usize::from(nibble);
    if nibble == 15 {
        loop {
            let byte = take(rest, 1)?[0];
            length = length.checked_add(usize::from(byte))?;
            if byte != 255 {
                break;
            }
        }
    }
    Some(length)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_and_an_overlapping_match() {
        // "ab" and then ten bytes from two back, then a last literal.
        let input = [0x26, b'a', b'b', 2, 0, 0x10, b'!'];
        assert_eq!(decompress(&input, 13).unwrap(), b"abababababab!");
        assert_eq!(decompress(&input, 12), None);
        assert_eq!(decompress(&input, 14), None);
    }

    #[test]
    fn a_distance_before_the_start_is_refused() {
        assert_eq!(decompress(&[0x10, b'a', 2, 0, 0x00], 5), None);
        assert_eq!(decompress(&[0x10, b'a', 0, 0, 0x00], 5), None);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(input: Vec<u8>, size in 0usize..100_000) {
            let _ = decompress(&input, size);
        }
    }
}
