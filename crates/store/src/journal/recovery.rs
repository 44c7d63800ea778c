//! Coming back: from whatever a crash left to a journal that can be written again.
//!
//! Looks first (see [`super::scan`]) and refuses before it changes anything. What it does change,
//! cutting a torn tail and taking the prepared segment into use, may be interrupted by the next
//! crash at any point and is then simply done again.

use super::scan::{Cut, Survey, TailEnd, survey};
use super::segment::{SegmentHeader, begin_segment, prepare_segment, segment_file};
use super::{JournalError, JournalOptions, TornTail, io_error, space_error};
use crate::disk::Disk;
use crate::envelope::Chain;
use crate::seq::Seq;

/// The segment that is written to.
pub(crate) struct WritableTail {
    pub index: u32,
    pub file_bytes: u64,
    pub end: u64,
    /// Whether the next segment already lies ready.
    pub next_is_prepared: bool,
}

/// A journal ready to be written.
pub(crate) struct Recovered {
    pub torn: Option<TornTail>,
    pub first_seq: Seq,
    pub last_seq: Seq,
    pub chain: Chain,
    pub last_epoch: u32,
    pub checkpoint: Option<Seq>,
    pub segments: u32,
    pub tail: WritableTail,
}

pub(crate) fn recover(
    disk: &dyn Disk,
    options: &JournalOptions,
) -> Result<Recovered, JournalError> {
    let mut found = survey(disk, &options.schema_limits)?;
    check_high_water(&found, options.high_water)?;
    let mut torn = None;
    let tail = found.tail.take();
    let tail = match tail {
        None => begin_next(disk, options, &mut found, 1, 0)?,
        Some(tail) => {
            let mut end = tail.offset;
            if let TailEnd::Torn(cut) = &tail.end {
                apply(disk, cut)?;
                end = cut.torn.offset;
                torn = Some(cut.torn.clone());
            }
            if matches!(tail.end, TailEnd::Sealed) {
                begin_next(disk, options, &mut found, tail.header.index + 1, end)?
            } else {
                let index = tail.header.index;
                let prepared = found.unused.as_ref();
                let next_is_prepared = prepared
                    .is_some_and(|next| next.blank && next.file_bytes == options.segment_bytes);
                WritableTail { index, file_bytes: tail.header.file_bytes, end, next_is_prepared }
            }
        }
    };
    Ok(Recovered {
        torn,
        first_seq: found.first_seq,
        last_seq: found.last_seq,
        chain: found.chain,
        last_epoch: found.last_epoch,
        checkpoint: found.checkpoint,
        segments: found.segments,
        tail,
    })
}

fn check_high_water(found: &Survey, high_water: Seq) -> Result<(), JournalError> {
    if found.last_seq >= high_water {
        return Ok(());
    }
    let tail = found.tail.as_ref();
    Err(JournalError::Corrupt {
        file: segment_file(tail.map_or(1, |tail| tail.header.index)),
        offset: tail.map_or(0, |tail| tail.offset),
        seq: found.last_seq.next(),
        why: format!("the journal ends here, but seq {high_water} was durable"),
    })
}

/// Takes the segment after the last one into use.
fn begin_next(
    disk: &dyn Disk,
    options: &JournalOptions,
    found: &mut Survey,
    index: u32,
    previous_seal_at: u64,
) -> Result<WritableTail, JournalError> {
    let ready = found
        .unused
        .take()
        .is_some_and(|next| next.index == index && next.file_bytes == options.segment_bytes);
    if !ready {
        prepare_segment(disk, index, options.segment_bytes)?;
    }
    let header = SegmentHeader {
        index,
        file_bytes: options.segment_bytes,
        first_seq: found.last_seq.next(),
        previous_seal_at,
        previous_chain: found.chain,
    };
    begin_segment(disk, &header)?;
    found.segments += 1;
    Ok(WritableTail {
        index,
        file_bytes: options.segment_bytes,
        end: super::segment::HEADER_BYTES as u64,
        next_is_prepared: false,
    })
}

/// Zeros what is torn. A batch of which some records are whole keeps those.
fn apply(disk: &dyn Disk, cut: &Cut) -> Result<(), JournalError> {
    let file = &cut.torn.file;
    let write = |offset, bytes: &[u8]| {
        disk.write_at(file, offset, bytes).map_err(|error| space_error("write", file, error))
    };
    if let Some((offset, header)) = &cut.rewritten {
        write(*offset, &header.encode())?;
    }
    write(cut.torn.offset, &vec![0; cut.torn.bytes as usize])?;
    disk.sync_data(file).map_err(|error| io_error("sync", file, error))?;
    Ok(())
}
