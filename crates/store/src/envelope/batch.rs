//! The header of a batch: what one write and one fdatasync brought to the disk together.
//!
//! It says which seq was durable before the batch was written. That is how recovery tells a torn
//! tail from rot: a sound header that calls a damaged record durable proves that the damage came
//! later. A seal is a header without records; it ends a segment and makes a lost next one visible.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `OIBB`, or `OIBS` for a seal |
//! | 4 | 1 | format, 1 |
//! | 5 | 3 | zero |
//! | 8 | 4 | number of records |
//! | 12 | 4 | bytes of the records |
//! | 16 | 8 | first seq; of a seal: the first one of the next segment |
//! | 24 | 8 | seq that was durable before |
//! | 32 | 4 | crc32 of bytes 0..32 |

use super::{FORMAT, NotARecord, le_u32, le_u64};
use crate::Seq;

/// Bytes of a header.
pub(crate) const BATCH_BYTES: usize = 36;

const MAGIC_BATCH: [u8; 4] = *b"OIBB";
const MAGIC_SEAL: [u8; 4] = *b"OIBS";

/// Whether records follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BatchKind {
    Records { count: u32, bytes: u32 },
    Seal,
}

/// The header of a batch or a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub kind: BatchKind,
    pub first_seq: Seq,
    pub durable_before: Seq,
}

impl BatchHeader {
    pub fn encode(&self) -> [u8; BATCH_BYTES] {
        let (magic, count, body) = match self.kind {
            BatchKind::Records { count, bytes } => (MAGIC_BATCH, count, bytes),
            BatchKind::Seal => (MAGIC_SEAL, 0, 0),
        };
        let mut bytes = [0; BATCH_BYTES];
        bytes[..4].copy_from_slice(&magic);
        bytes[4] = FORMAT;
        bytes[8..12].copy_from_slice(&count.to_le_bytes());
        bytes[12..16].copy_from_slice(&body.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first_seq.0.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.durable_before.0.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..32]);
        bytes[32..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<BatchHeader, NotARecord> {
        let head = bytes.get(..BATCH_BYTES).ok_or(NotARecord::Damaged("batch is cut short"))?;
        let is_seal = head[..4] == MAGIC_SEAL;
        if !is_seal && head[..4] != MAGIC_BATCH {
            return Err(NotARecord::Damaged("no batch begins here"));
        }
        if crc32fast::hash(&head[..32]) != le_u32(head, 32) {
            return Err(NotARecord::Damaged("crc of the batch header differs"));
        }
        if head[4] != FORMAT {
            return Err(NotARecord::Newer { format: head[4] });
        }
        let kind = match (is_seal, le_u32(head, 8)) {
            (true, _) => BatchKind::Seal,
            (false, 0) => return Err(NotARecord::Damaged("batch without records")),
            (false, count) => BatchKind::Records { count, bytes: le_u32(head, 12) },
        };
        let first_seq = Seq(le_u64(head, 16));
        Ok(BatchHeader { kind, first_seq, durable_before: Seq(le_u64(head, 24)) })
    }

    /// The first header in `bytes` that calls `seq` durable, with its offset there.
    pub fn find_proof_that_durable(bytes: &[u8], seq: Seq) -> Option<usize> {
        bytes.windows(BATCH_BYTES).position(|window| {
            window[0] == MAGIC_BATCH[0]
                && BatchHeader::decode(window).is_ok_and(|header| header.durable_before >= seq)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> BatchHeader {
        let kind = BatchKind::Records { count: 2, bytes: 300 };
        BatchHeader { kind, first_seq: Seq(9), durable_before: Seq(8) }
    }

    #[test]
    fn the_bytes_of_a_header_are_the_ones_that_format_1_promised() {
        let hex: String = sample().encode().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "4f49424201000000020000002c01000009000000000000000800000000000000542ba859");
    }

    #[test]
    fn headers_come_back_and_a_flipped_bit_is_noticed() {
        let seal = BatchHeader { kind: BatchKind::Seal, ..sample() };
        for header in [sample(), seal] {
            let bytes = header.encode();
            assert_eq!(BatchHeader::decode(&bytes), Ok(header));
            for place in 0..BATCH_BYTES * 8 {
                let mut flipped = bytes;
                flipped[place / 8] ^= 1 << (place % 8);
                assert!(BatchHeader::decode(&flipped).is_err(), "bit {place}");
            }
        }
    }

    #[test]
    fn only_a_header_that_calls_the_seq_durable_is_proof() {
        let mut bytes = vec![7; 50];
        bytes.extend_from_slice(&sample().encode());
        assert_eq!(BatchHeader::find_proof_that_durable(&bytes, Seq(8)), Some(50));
        assert_eq!(BatchHeader::find_proof_that_durable(&bytes, Seq(9)), None);
    }
}
