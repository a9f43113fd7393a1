//! A stream from the broker in which no message is larger than a command may be.
//!
//! A broker may pass on messages of 256 MB. A client that refuses one of them ends the connection, is sent the
//! same message at the next, and so on for ever; to shed it by a clean session would lose every command
//! that waits beside it. So the payload of a message that is too large is cut off here, a little above the
//! limit, without being kept: what follows the cut reads a well-formed packet, finds it too large and
//! refuses it by its own means.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::protocol::MAX_COMMAND_BYTES;

/// How much of a payload is left: enough to see that it is too large.
const KEEP: usize = MAX_COMMAND_BYTES + 1;

/// The largest packet that comes through: a publish with the longest topic, or a packet that is none.
pub(super) const LARGEST_PACKET: usize = 5 + 2 + 65_535 + 2 + KEEP;

const PUBLISH: u8 = 3;
const READ_AT_ONCE: usize = 8 * 1024;

/// Cuts the payloads of what is read from `S`.
#[derive(Debug)]
pub(super) struct Capped<S> {
    inner: S,
    cutter: Cutter,
    /// What was read and cut, and how much of it was handed on.
    ready: Vec<u8>,
    handed_on: usize,
}

impl<S> Capped<S> {
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            cutter: Cutter::default(),
            ready: Vec::new(),
            handed_on: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Capped<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.handed_on == this.ready.len() {
            let mut bytes = [0; READ_AT_ONCE];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.handed_on = 0;
            this.cutter.cut(read.filled(), &mut this.ready);
        }
        let rest = &this.ready[this.handed_on..];
        let part = &rest[..rest.len().min(buffer.remaining())];
        buffer.put_slice(part);
        this.handed_on += part.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Capped<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

/// Where in the sequence of packets the next byte stands.
#[derive(Debug, Default)]
enum Cutter {
    /// Between packets.
    #[default]
    Between,
    /// In a header: the first byte, the length, and of a publish the length of its topic (MQTT 3.1.1, 2.2 and 3.3).
    Header(Vec<u8>),
    /// So many bytes are handed on, then so many are left out.
    Inside { pass: usize, skip: usize },
    /// This is not MQTT: whoever reads shall say so.
    Lost,
}

impl Cutter {
    fn cut(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        while let Some(first) = input.first() {
            match self {
                Cutter::Between => *self = Cutter::Header(Vec::with_capacity(7)),
                Cutter::Header(header) => {
                    header.push(*first);
                    input = &input[1..];
                    if let Some(next) = after_header(header, output) {
                        *self = next;
                    }
                }
                Cutter::Inside { pass, skip } => {
                    let passed = input.len().min(*pass);
                    output.extend_from_slice(&input[..passed]);
                    *pass -= passed;
                    let skipped = (input.len() - passed).min(*skip);
                    *skip -= skipped;
                    input = &input[passed + skipped..];
                    if (*pass, *skip) == (0, 0) {
                        *self = Cutter::Between;
                    }
                }
                Cutter::Lost => {
                    output.extend_from_slice(input);
                    return;
                }
            }
        }
    }
}

/// Writes a header that is whole, with the length that is left; `None` where more of it has to come.
fn after_header(header: &[u8], output: &mut Vec<u8>) -> Option<Cutter> {
    let (first, rest) = header.split_first()?;
    let last = rest.iter().position(|byte| byte & 0x80 == 0);
    let Some(last) = last else {
        // A length has four bytes at most.
        return (rest.len() == 4).then(|| {
            output.extend_from_slice(header);
            Cutter::Lost
        });
    };
    let (length, topic_length) = rest.split_at(last + 1);
    let remaining = length
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 7 | usize::from(byte & 0x7f));
    if first >> 4 != PUBLISH || remaining <= KEEP {
        output.extend_from_slice(header);
        return Some(inside(remaining, 0));
    }
    let [high, low] = topic_length else {
        return None;
    };
    let packet_id = if first & 0b0110 == 0 { 0 } else { 2 };
    let before_payload = 2 + usize::from(u16::from_be_bytes([*high, *low])) + packet_id;
    let kept = remaining.min(before_payload + KEEP);
    output.push(*first);
    put_length(kept, output);
    output.extend_from_slice(topic_length);
    Some(inside(kept - 2, remaining - kept))
}

fn inside(pass: usize, skip: usize) -> Cutter {
    if (pass, skip) == (0, 0) {
        Cutter::Between
    } else {
        Cutter::Inside { pass, skip }
    }
}

fn put_length(mut length: usize, output: &mut Vec<u8>) {
    loop {
        let more = if length > 0x7f { 0x80 } else { 0 };
        output.push((length & 0x7f) as u8 | more);
        length >>= 7;
        if length == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn publish(qos: u8, topic: usize, payload: usize) -> Vec<u8> {
        let mut body = (topic as u16).to_be_bytes().to_vec();
        body.extend(std::iter::repeat_n(b't', topic));
        if qos > 0 {
            body.extend([1, 2]);
        }
        body.extend((0..payload).map(|index| index as u8));
        packet(0x30 | qos << 1, &body)
    }

    fn packet(first: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![first];
        put_length(body.len(), &mut packet);
        packet.extend(body);
        packet
    }

    fn cut(chunks: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
        let mut cutter = Cutter::default();
        let mut output = Vec::new();
        for chunk in chunks {
            cutter.cut(&chunk, &mut output);
        }
        output
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn packets_come_through_whole_or_cut_however_they_are_split(
            packets in proptest::collection::vec((0u8..3, 1usize..300, 0usize..3 * KEEP, any::<bool>()), 1..5),
            size in 1usize..20_000,
        ) {
            let mut sent = Vec::new();
            let mut expected = Vec::new();
            for (qos, topic, payload, ping_after) in packets {
                sent.extend(publish(qos, topic, payload));
                expected.extend(publish(qos, topic, payload.min(KEEP)));
                if ping_after {
                    sent.extend([0xd0, 0]);
                    expected.extend([0xd0, 0]);
                }
            }
            let output = cut(sent.chunks(size).map(<[u8]>::to_vec));
            prop_assert!(output == expected);
        }

        #[test]
        fn bytes_of_any_kind_neither_panic_nor_grow(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let length = bytes.len();
            // A length that was written with more bytes than it needs is written anew.
            prop_assert!(cut(bytes.chunks(3).map(<[u8]>::to_vec)).len() <= length);
        }
    }

    #[test]
    fn a_length_that_does_not_end_is_handed_on_for_the_reader_to_refuse() {
        let nonsense = vec![0x30, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        assert_eq!(cut([nonsense.clone()]), nonsense);
    }

    #[test]
    fn a_publish_whose_topic_is_longer_than_itself_is_handed_on_for_the_reader_to_refuse() {
        let mut body = vec![0xff, 0xff];
        body.extend(vec![0; KEEP]);
        let mut lie = packet(0x30, &body);
        lie.extend([0xd0, 0]);
        assert_eq!(cut([lie.clone()]), lie);
    }
}
