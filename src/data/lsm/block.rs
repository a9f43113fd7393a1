//! The inside of a block: key-value entries with shared prefixes, and the handles of other blocks.

use super::decode::Decoder;

/// Compression byte and checksum after every block.
pub const TRAILER: u64 = 5;
/// No index or properties block is near this size once decompressed; more is a damaged length.
const LARGEST: usize = 256 << 20;

/// Where a block is, without its trailer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle {
    /// Offset in the file.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
}

impl Handle {
    /// Reads two varints.
    pub fn decode(input: &mut Decoder<'_>) -> Option<Self> {
        Some(Self {
            offset: input.varint64()?,
            size: input.varint64()?,
        })
    }

    /// The first byte after the trailer.
    pub fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.size)?.checked_add(TRAILER)
    }
}

/// Why a block cannot be looked into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opaque {
    /// It is compressed in a way that this build does not know.
    Compression(u8),
    /// It makes no sense.
    Malformed,
}

/// Undoes the compression that the block's last byte names.
///
/// `sized`: RocksDB's newer tables put the size before the compressed bytes (`format_version` 2 and later).
pub fn decompress(content: Vec<u8>, compression: u8, sized: bool) -> Result<Vec<u8>, Opaque> {
    match compression {
        0 => Ok(content),
        1 => {
            let size = snap::raw::decompress_len(&content).map_err(|_| Opaque::Malformed)?;
            if size > LARGEST {
                return Err(Opaque::Malformed);
            }
            snap::raw::Decoder::new()
                .decompress_vec(&content)
                .map_err(|_| Opaque::Malformed)
        }
        2 | 4 | 5 if sized => {
            let mut input = Decoder::new(&content);
            let size = input.varint32().ok_or(Opaque::Malformed)? as usize;
            if size > LARGEST {
                return Err(Opaque::Malformed);
            }
            let plain = if compression == 2 {
                inflate(input.rest(), size)
            } else {
                super::lz4::decompress(input.rest(), size)
            };
            plain.ok_or(Opaque::Malformed)
        }
        other => Err(Opaque::Compression(other)),
    }
}

fn inflate(compressed: &[u8], size: usize) -> Option<Vec<u8>> {
    // RocksDB writes raw deflate, without zlib's header.
    let mut plain = Vec::with_capacity(size);
    let status = flate2::Decompress::new(false)
        .decompress_vec(compressed, &mut plain, flate2::FlushDecompress::Finish)
        .ok()?;
    (status == flate2::Status::StreamEnd && plain.len() == size).then_some(plain)
}

/// Reads every entry; `on_entry` gets the key and the value.
///
/// `None` when the block makes no sense.
pub fn entries(block: &[u8], on_entry: &mut dyn FnMut(&[u8], &[u8])) -> Option<()> {
    let mut input = Decoder::new(without_restarts(block)?);
    let mut key = Vec::new();
    while !input.is_empty() {
        let shared = input.varint32()? as usize;
        let fresh = input.varint32()? as usize;
        let value = input.varint32()? as usize;
        next_key(&mut key, shared, input.bytes(fresh)?)?;
        on_entry(&key, input.bytes(value)?);
    }
    Some(())
}

/// Reads the handles of an index block whose values are differences (RocksDB `format_version` 4 and later).
///
/// Such an entry has no value length: a handle is whole where the key shares nothing, else it follows the one before
/// and only the difference in size is written. `first_keys`: the block's first key comes after the handle.
pub fn delta_handles(block: &[u8], first_keys: bool) -> Option<Vec<Handle>> {
    let mut input = Decoder::new(without_restarts(block)?);
    let mut handles: Vec<Handle> = Vec::new();
    while !input.is_empty() {
        let shared = input.varint32()?;
        let fresh = input.varint32()? as usize;
        input.bytes(fresh)?;
        let handle = if shared == 0 {
            Handle::decode(&mut input)?
        } else {
            let before = handles.last()?;
            Handle {
                offset: before.end()?,
                size: before.size.checked_add_signed(input.zigzag64()?)?,
            }
        };
        if first_keys {
            input.prefixed()?;
        }
        handles.push(handle);
    }
    Some(handles)
}

/// Reads the handles of a plain index block.
pub fn plain_handles(block: &[u8]) -> Option<Vec<Handle>> {
    let mut handles = Vec::new();
    let mut sound = true;
    entries(
        block,
        &mut |_, value| match Handle::decode(&mut Decoder::new(value)) {
            Some(handle) => handles.push(handle),
            None => sound = false,
        },
    )?;
    sound.then_some(handles)
}

/// Cuts off the restart points: their offsets, and their count in the last four bytes.
fn without_restarts(block: &[u8]) -> Option<&[u8]> {
    let (rest, count) = block.split_last_chunk::<4>()?;
    // The top bit says that a data block has a hash index as well.
    let restarts = (u32::from_le_bytes(*count) & 0x7fff_ffff) as usize;
    rest.len()
        .checked_sub(restarts.checked_mul(4)?)
        .map(|end| &rest[..end])
}

fn next_key(key: &mut Vec<u8>, shared: usize, fresh: &[u8]) -> Option<()> {
    if shared > key.len() {
        return None;
    }
    key.truncate(shared);
    key.extend_from_slice(fresh);
    Some(())
}
