//! The envelope of a record: what every reader of the journal must know, in fixed places.
//!
//! The payload inside is the caller's (`rmp-serde` named fields, by convention); the envelope is
//! ours and is written by hand so that its bytes never depend on a library. All numbers are little
//! endian.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `OIBR` |
//! | 4 | 1 | format, 1 |
//! | 5 | 1 | flags: bit 0 = checkpoint |
//! | 6 | 2 | kind |
//! | 8 | 2 | schema version of the payload |
//! | 10 | 1 | length of the role name |
//! | 11 | 1 | zero |
//! | 12 | 4 | length of the payload |
//! | 16 | 8 | seq |
//! | 24 | 4 | epoch: the process start that wrote it |
//! | 28 | 4 | generation of the role |
//! | 32 | 8 | time, signed nanoseconds |
//! | 40 | 16 | chain value of the previous record |
//! | 56 | 4 | crc32 of bytes 0..56, role and payload |
//! | 60 | | role, then payload |
//!
//! The crc finds rot. The chain finds what a crc cannot: a record removed, repeated, exchanged or
//! spliced in from elsewhere. The chain value of a record is the first half of the blake3 of all
//! its bytes, and those include the value before it.

pub mod batch;

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Seq;

/// The envelope format that this build writes and the newest it reads.
pub const FORMAT: u8 = 1;
/// The kind of the journal's own records; its payload is a [`crate::journal::EpochStart`].
pub const CONTROL_KIND: u16 = 0;
/// Bytes of an envelope before role and payload.
pub const ENVELOPE_BYTES: usize = 60;
/// The longest name of a role, in bytes.
pub const ROLE_BYTES_MAX: usize = 64;

const MAGIC: [u8; 4] = *b"OIBR";
const FLAG_CHECKPOINT: u8 = 1;

/// A running hash over all records up to one place in the journal.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Chain(pub [u8; 16]);

impl Chain {
    /// The value before the first record.
    pub const ORIGIN: Chain = Chain([0; 16]);
}

impl fmt::Display for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Chain({self})")
    }
}

/// Who writes: a role and which of its lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriterTag {
    role: String,
    generation: u32,
}

/// A role name that does not fit into an envelope.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("role name {role:?} has {} bytes: give it 1 to {ROLE_BYTES_MAX}", role.len())]
pub struct TagError {
    /// The name as given.
    pub role: String,
}

impl WriterTag {
    /// A writer of this role, for example `desk` or `strategy/gamma_scalper_1`.
    ///
    /// # Errors
    /// If the name is empty or longer than [`ROLE_BYTES_MAX`].
    pub fn new(role: &str, generation: u32) -> Result<WriterTag, TagError> {
        if role.is_empty() || role.len() > ROLE_BYTES_MAX {
            return Err(TagError { role: role.to_owned() });
        }
        Ok(WriterTag { role: role.to_owned(), generation })
    }

    /// The name of the role.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// Which life of the role.
    pub fn generation(&self) -> u32 {
        self.generation
    }
}

/// A record that has no number yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// What the payload is, in the caller's numbering; 0 is the journal's own.
    pub kind: u16,
    /// Which version of that kind.
    pub schema_version: u16,
    /// Whether the payload is the whole state at this place, so that older records can be archived.
    pub checkpoint: bool,
    /// The caller's bytes.
    pub payload: Vec<u8>,
}

/// A record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its place; gapless.
    pub seq: Seq,
    /// What the payload is.
    pub kind: u16,
    /// Which version of that kind.
    pub schema_version: u16,
    /// The process start that wrote it.
    pub epoch: u32,
    /// The role that wrote it.
    pub role: String,
    /// Which life of that role.
    pub generation: u32,
    /// Wall time in nanoseconds since 1970 as the writer saw it; not monotonic.
    pub time_ns: i64,
    /// Whether the payload is the whole state at this place.
    pub checkpoint: bool,
    /// The chain value after this record, for comparison with a snapshot's.
    pub chain: Chain,
    /// The caller's bytes.
    pub payload: Vec<u8>,
}

/// How many bytes a record takes in the journal.
pub fn encoded_bytes(role: &str, payload: &[u8]) -> usize {
    ENVELOPE_BYTES + role.len() + payload.len()
}

/// Everything of an envelope that is not the record itself.
pub(crate) struct Place<'a> {
    pub seq: Seq,
    pub epoch: u32,
    pub tag: &'a WriterTag,
    pub time_ns: i64,
    pub previous: Chain,
}

/// Appends the bytes of a record; answers its chain value.
pub(crate) fn encode(place: &Place<'_>, record: &NewRecord, out: &mut Vec<u8>) -> Chain {
    let start = out.len();
    // Both lengths are bounded: the role by `WriterTag::new`, the payload by the segment's size.
    let role_bytes = place.tag.role.len() as u8;
    let payload_bytes = record.payload.len() as u32;
    out.extend_from_slice(&MAGIC);
    out.push(FORMAT);
    out.push(if record.checkpoint { FLAG_CHECKPOINT } else { 0 });
    out.extend_from_slice(&record.kind.to_le_bytes());
    out.extend_from_slice(&record.schema_version.to_le_bytes());
    out.push(role_bytes);
    out.push(0);
    out.extend_from_slice(&payload_bytes.to_le_bytes());
    out.extend_from_slice(&place.seq.0.to_le_bytes());
    out.extend_from_slice(&place.epoch.to_le_bytes());
    out.extend_from_slice(&place.tag.generation.to_le_bytes());
    out.extend_from_slice(&place.time_ns.to_le_bytes());
    out.extend_from_slice(&place.previous.0);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out[start..]);
    crc.update(place.tag.role.as_bytes());
    crc.update(&record.payload);
    out.extend_from_slice(&crc.finalize().to_le_bytes());
    out.extend_from_slice(place.tag.role.as_bytes());
    out.extend_from_slice(&record.payload);
    chain_of(&out[start..])
}

/// Why bytes are not a record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotARecord {
    /// Rot, or a write that did not land whole.
    Damaged(&'static str),
    /// Sound, but in a format of a later build.
    Newer { format: u8 },
}

/// A record as found, before its place in the journal was checked.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub record: Record,
    pub previous: Chain,
    pub bytes: usize,
}

/// Reads the record at the start of `bytes`.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, NotARecord> {
    let head = bytes.get(..ENVELOPE_BYTES).ok_or(NotARecord::Damaged("record is cut short"))?;
    if head[..4] != MAGIC {
        return Err(NotARecord::Damaged("no record begins here"));
    }
    let role_end = ENVELOPE_BYTES + usize::from(head[10]);
    let end = role_end.saturating_add(le_u32(head, 12) as usize);
    let whole = bytes.get(..end).ok_or(NotARecord::Damaged("record is cut short"))?;
    let mut crc = crc32fast::Hasher::new();
    crc.update(&whole[..56]);
    crc.update(&whole[ENVELOPE_BYTES..]);
    if crc.finalize() != le_u32(head, 56) {
        return Err(NotARecord::Damaged("crc of the record differs"));
    }
    // Later formats keep the places of magic, lengths and crc, so that they can be told from rot.
    if head[4] != FORMAT {
        return Err(NotARecord::Newer { format: head[4] });
    }
    let role = std::str::from_utf8(&whole[ENVELOPE_BYTES..role_end])
        .map_err(|_| NotARecord::Damaged("role name is not text"))?;
    let mut previous = Chain::ORIGIN;
    previous.0.copy_from_slice(&head[40..56]);
    Ok(Decoded {
        record: Record {
            seq: Seq(le_u64(head, 16)),
            kind: le_u16(head, 6),
            schema_version: le_u16(head, 8),
            epoch: le_u32(head, 24),
            role: role.to_owned(),
            generation: le_u32(head, 28),
            time_ns: le_u64(head, 32).cast_signed(),
            checkpoint: head[5] & FLAG_CHECKPOINT != 0,
            chain: chain_of(whole),
            payload: whole[role_end..].to_vec(),
        },
        previous,
        bytes: end,
    })
}

fn chain_of(record: &[u8]) -> Chain {
    let mut chain = Chain::ORIGIN;
    chain.0.copy_from_slice(&blake3::hash(record).as_bytes()[..16]);
    chain
}

pub(crate) fn le_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

pub(crate) fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

pub(crate) fn le_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le_u32(bytes, at)) | (u64::from(le_u32(bytes, at + 4)) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (WriterTag, NewRecord) {
        let tag = WriterTag::new("desk", 3).unwrap();
        let payload = b"payload".to_vec();
        (tag, NewRecord { kind: 0x0102, schema_version: 5, checkpoint: true, payload })
    }

    fn encoded() -> (Vec<u8>, Chain) {
        let (tag, record) = sample();
        let mut bytes = Vec::new();
        let previous = Chain([0xaa; 16]);
        let place = Place { seq: Seq(7), epoch: 2, tag: &tag, time_ns: -1, previous };
        let chain = encode(&place, &record, &mut bytes);
        (bytes, chain)
    }

    #[test]
    fn the_bytes_of_a_record_are_the_ones_that_format_1_promised() {
        let (bytes, chain) = encoded();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "4f494252010102010500040007000000070000000000000002000000\
             03000000ffffffffffffffffaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\
             f7a3e19e6465736b7061796c6f6164"
        );
        assert_eq!(chain.to_string(), "3c3a0dc66f590a59d0186ce2ca8482a0");
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let (bytes, chain) = encoded();
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded.bytes, bytes.len());
        assert_eq!(decoded.previous, Chain([0xaa; 16]));
        let record = decoded.record;
        assert_eq!((record.seq, record.kind, record.schema_version), (Seq(7), 0x0102, 5));
        assert_eq!((record.epoch, record.generation, record.time_ns), (2, 3, -1));
        assert_eq!((record.role.as_str(), record.checkpoint), ("desk", true));
        assert_eq!((record.payload.as_slice(), record.chain), (b"payload".as_slice(), chain));
    }

    #[test]
    fn every_flipped_bit_of_a_record_is_noticed() {
        let (bytes, _) = encoded();
        for place in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[place / 8] ^= 1 << (place % 8);
            assert!(matches!(decode(&flipped), Err(NotARecord::Damaged(_))), "bit {place}");
        }
    }

    #[test]
    fn a_sound_record_of_a_later_format_is_not_taken_for_rot() {
        let (mut bytes, _) = encoded();
        bytes[4] = 2;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&bytes[..56]);
        crc.update(&bytes[60..]);
        let crc = crc.finalize().to_le_bytes();
        bytes[56..60].copy_from_slice(&crc);
        assert_eq!(decode(&bytes).unwrap_err(), NotARecord::Newer { format: 2 });
    }

    #[test]
    fn a_role_name_must_fit_the_envelope() {
        assert!(WriterTag::new(&"r".repeat(ROLE_BYTES_MAX), 0).is_ok());
        assert!(WriterTag::new(&"r".repeat(ROLE_BYTES_MAX + 1), 0).is_err());
        assert!(WriterTag::new("", 0).is_err());
    }
}
