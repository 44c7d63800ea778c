//! One file of the journal and its header page.
//!
//! The header has a page of its own, is synced before the first batch, and is never written again:
//! whatever happens to a batch, the segment can still say where it belongs. It repeats where the
//! segment before it ended, so that a cut below a sealed tail shows.
//!
//! | offset | bytes | field |
//! |---|---|---|
//! | 0 | 4 | magic `OIBJ` |
//! | 4 | 1 | format, 1 |
//! | 5 | 3 | zero |
//! | 8 | 4 | number of the segment, from 1 |
//! | 16 | 8 | bytes of the whole file |
//! | 24 | 8 | first seq |
//! | 32 | 8 | offset of the seal in the segment before, 0 for the first |
//! | 40 | 16 | chain value before the first record |
//! | 4092 | 4 | crc32 of bytes 0..4092 |

use std::io;

use super::{JournalError, io_error, space_error};
use crate::disk::Disk;
use crate::envelope::{Chain, FORMAT, NotARecord, le_u32, le_u64};
use crate::seq::Seq;

/// The folder of the journal below the state folder.
pub const JOURNAL_DIR: &str = "journal";
/// The folder of segments that were dropped.
pub const ARCHIVE_DIR: &str = "archive";
/// Bytes of the header page; the first batch begins behind it.
pub(crate) const HEADER_BYTES: usize = 4096;

const MAGIC: [u8; 4] = *b"OIBJ";
const CRC_AT: usize = HEADER_BYTES - 4;

/// The path of a segment.
pub(crate) fn segment_file(index: u32) -> String {
    format!("{JOURNAL_DIR}/{index:04}.wal")
}

/// The path of a segment that was dropped.
pub(crate) fn archived_file(index: u32) -> String {
    format!("{ARCHIVE_DIR}/{index:04}.wal")
}

/// The numbers of the segments in a folder, ascending.
pub(crate) fn segment_indexes(disk: &dyn Disk, dir: &str) -> io::Result<Vec<u32>> {
    let names = disk.list(dir)?;
    let stems = names.iter().filter_map(|name| name.strip_suffix(".wal"));
    let mut indexes: Vec<u32> = stems.filter_map(|stem| stem.parse().ok()).collect();
    indexes.sort_unstable();
    Ok(indexes)
}

/// What the header page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub index: u32,
    pub file_bytes: u64,
    pub first_seq: Seq,
    pub previous_seal_at: u64,
    pub previous_chain: Chain,
}

impl SegmentHeader {
    pub fn encode(&self) -> Vec<u8> {
        let mut page = vec![0; HEADER_BYTES];
        page[..4].copy_from_slice(&MAGIC);
        page[4] = FORMAT;
        page[8..12].copy_from_slice(&self.index.to_le_bytes());
        page[16..24].copy_from_slice(&self.file_bytes.to_le_bytes());
        page[24..32].copy_from_slice(&self.first_seq.0.to_le_bytes());
        page[32..40].copy_from_slice(&self.previous_seal_at.to_le_bytes());
        page[40..56].copy_from_slice(&self.previous_chain.0);
        let crc = crc32fast::hash(&page[..CRC_AT]);
        page[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        page
    }

    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, NotARecord> {
        let page = bytes.get(..HEADER_BYTES).ok_or(NotARecord::Damaged("header is cut short"))?;
        if page[..4] != MAGIC || crc32fast::hash(&page[..CRC_AT]) != le_u32(page, CRC_AT) {
            return Err(NotARecord::Damaged("segment header is damaged"));
        }
        if page[4] != FORMAT {
            return Err(NotARecord::Newer { format: page[4] });
        }
        let mut previous_chain = Chain::ORIGIN;
        previous_chain.0.copy_from_slice(&page[40..56]);
        Ok(SegmentHeader {
            index: le_u32(page, 8),
            file_bytes: le_u64(page, 16),
            first_seq: Seq(le_u64(page, 24)),
            previous_seal_at: le_u64(page, 32),
            previous_chain,
        })
    }

    /// Reads only the header page of a segment.
    pub fn read(disk: &dyn Disk, index: u32) -> io::Result<Result<SegmentHeader, NotARecord>> {
        let mut page = vec![0; HEADER_BYTES];
        let filled = disk.read_at(&segment_file(index), 0, &mut page)?;
        Ok(SegmentHeader::decode(&page[..filled]))
    }
}

/// Makes a segment of zeros and makes its existence durable. It is not in use yet.
pub(crate) fn prepare_segment(
    disk: &dyn Disk,
    index: u32,
    file_bytes: u64,
) -> Result<(), JournalError> {
    let file = segment_file(index);
    disk.make_dir(JOURNAL_DIR).map_err(|error| space_error("make", JOURNAL_DIR, error))?;
    disk.create(&file, file_bytes).map_err(|error| space_error("create", &file, error))?;
    disk.sync_data(&file).map_err(|error| io_error("sync", &file, error))?;
    disk.sync_dir(JOURNAL_DIR).map_err(|error| io_error("sync", JOURNAL_DIR, error))?;
    Ok(())
}

/// Takes a prepared segment into use: its header is durable before its first batch is written.
pub(crate) fn begin_segment(disk: &dyn Disk, header: &SegmentHeader) -> Result<(), JournalError> {
    let file = segment_file(header.index);
    disk.write_at(&file, 0, &header.encode())
        .map_err(|error| space_error("write", &file, error))?;
    disk.sync_data(&file).map_err(|error| io_error("sync", &file, error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_every_flipped_bit_of_its_page_is_noticed() {
        let header = SegmentHeader {
            index: 3,
            file_bytes: 1 << 24,
            first_seq: Seq(900),
            previous_seal_at: 77_777,
            previous_chain: Chain([9; 16]),
        };
        let page = header.encode();
        assert_eq!(SegmentHeader::decode(&page), Ok(header));
        for byte in 0..HEADER_BYTES {
            let mut flipped = page.clone();
            flipped[byte] ^= 1 << (byte % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "byte {byte}");
        }
    }

    #[test]
    fn segments_are_found_in_the_order_of_their_numbers() {
        let disk = crate::MemoryDisk::new();
        for index in [10_000, 2, 1] {
            disk.create(&segment_file(index), 1).unwrap();
        }
        disk.create("journal/note.txt", 1).unwrap();
        assert_eq!(segment_indexes(&disk, JOURNAL_DIR).unwrap(), [1, 2, 10_000]);
    }
}
