//! Which segments are no longer needed, and putting them aside.
//!
//! The rule: a segment may go only if a later one begins with a durable checkpoint and an older
//! checkpoint still remains. So everything before the second newest segment that begins with a
//! checkpoint may go; nothing goes by itself. A dropped segment moves to `archive/` and is deleted
//! by people only.

use super::segment::{
    ARCHIVE_DIR, HEADER_BYTES, JOURNAL_DIR, SegmentHeader, archived_file, segment_file,
    segment_indexes,
};
use super::{JournalError, io_error};
use crate::disk::Disk;
use crate::envelope::batch::{BATCH_BYTES, BatchHeader, BatchKind};
use crate::envelope::decode;
use crate::seq::Seq;

/// The numbers of the segments that may be dropped, oldest first; `durable` is the watermark.
///
/// # Errors
/// If a segment cannot be read.
pub fn droppable_segments(disk: &dyn Disk, durable: Seq) -> Result<Vec<u32>, JournalError> {
    let indexes =
        segment_indexes(disk, JOURNAL_DIR).map_err(|error| io_error("list", JOURNAL_DIR, error))?;
    let mut beginning_with_checkpoint = Vec::new();
    for index in &indexes {
        if begins_with_checkpoint(disk, *index, durable)? {
            beginning_with_checkpoint.push(*index);
        }
    }
    let Some(kept_from) = beginning_with_checkpoint.iter().rev().nth(1) else {
        return Ok(Vec::new());
    };
    Ok(indexes.into_iter().filter(|index| index < kept_from).collect())
}

fn begins_with_checkpoint(disk: &dyn Disk, index: u32, durable: Seq) -> Result<bool, JournalError> {
    let file = segment_file(index);
    let read = |offset: usize, length: usize| {
        let mut bytes = vec![0; length];
        let filled = disk.read_at(&file, offset as u64, &mut bytes);
        let filled = filled.map_err(|error| io_error("read", &file, error))?;
        bytes.truncate(filled);
        Ok::<_, JournalError>(bytes)
    };
    let Ok(segment) = SegmentHeader::decode(&read(0, HEADER_BYTES)?) else {
        return Ok(false);
    };
    let Ok(batch) = BatchHeader::decode(&read(HEADER_BYTES, BATCH_BYTES)?) else {
        return Ok(false);
    };
    let BatchKind::Records { bytes, .. } = batch.kind else {
        return Ok(false);
    };
    if segment.first_seq > durable || batch.first_seq != segment.first_seq {
        return Ok(false);
    }
    let records = read(HEADER_BYTES + BATCH_BYTES, bytes as usize)?;
    Ok(decode(&records).is_ok_and(|decoded| decoded.record.checkpoint))
}

/// Moves the oldest segment to `archive/`; answers its number, `None` if the rule keeps all. Call
/// again for the next one. Safe while the writer is live.
///
/// # Errors
/// If the disk refuses; the segment is then in one of the two folders.
pub fn drop_segment(disk: &dyn Disk, durable: Seq) -> Result<Option<u32>, JournalError> {
    let Some(index) = droppable_segments(disk, durable)?.into_iter().next() else {
        return Ok(None);
    };
    let (from, to) = (segment_file(index), archived_file(index));
    disk.make_dir(ARCHIVE_DIR).map_err(|error| io_error("make", ARCHIVE_DIR, error))?;
    disk.rename(&from, &to).map_err(|error| io_error("archive", &from, error))?;
    for dir in [ARCHIVE_DIR, JOURNAL_DIR] {
        disk.sync_dir(dir).map_err(|error| io_error("sync", dir, error))?;
    }
    Ok(Some(index))
}
