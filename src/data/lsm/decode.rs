//! Reading the integers and strings that LevelDB and RocksDB write: little-endian, varints, length-prefixed.

/// A cursor over bytes that nobody trusts: every read says whether there was enough.
#[derive(Debug, Clone, Copy)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Starts at the first byte.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(head)
    }

    /// One byte.
    pub fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    /// Four bytes, little-endian.
    pub fn fixed32(&mut self) -> Option<u32> {
        let bytes = self.bytes(4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Eight bytes, little-endian.
    pub fn fixed64(&mut self) -> Option<u64> {
        let bytes = self.bytes(8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Seven bits a byte, lowest first, at most ten bytes.
    pub fn varint64(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && bits > 1 {
                return None;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A varint that fits 32 bits.
    pub fn varint32(&mut self) -> Option<u32> {
        u32::try_from(self.varint64()?).ok()
    }

    /// A signed difference in zigzag form, as RocksDB writes block sizes in its delta-encoded indexes.
    pub fn zigzag64(&mut self) -> Option<i64> {
        let raw = self.varint64()?;
        Some(((raw >> 1) as i64) ^ -((raw & 1) as i64))
    }

    /// A varint length and that many bytes.
    pub fn prefixed(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.varint64()?).ok()?;
        self.bytes(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_end_where_they_should() {
        let mut decoder = Decoder::new(&[0xac, 0x02, 0x07]);
        assert_eq!(decoder.varint64(), Some(300));
        assert_eq!(decoder.varint64(), Some(7));
        assert_eq!(decoder.varint64(), None);
    }

    #[test]
    fn a_varint_that_overflows_is_refused() {
        assert_eq!(
            Decoder::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).varint64(),
            Some(u64::MAX)
        );
        assert_eq!(Decoder::new(&[0xff; 10]).varint64(), None);
        assert_eq!(
            Decoder::new(&[0xff, 0xff, 0xff, 0xff, 0x7f]).varint32(),
            None
        );
    }

    #[test]
    fn zigzag_goes_both_ways() {
        assert_eq!(Decoder::new(&[0x00]).zigzag64(), Some(0));
        assert_eq!(Decoder::new(&[0x01]).zigzag64(), Some(-1));
        assert_eq!(Decoder::new(&[0x04]).zigzag64(), Some(2));
    }

    #[test]
    fn a_prefix_longer_than_the_bytes_is_refused() {
        assert_eq!(Decoder::new(&[3, b'a', b'b']).prefixed(), None);
        assert_eq!(Decoder::new(&[2, b'a', b'b']).prefixed(), Some(&b"ab"[..]));
    }
}
