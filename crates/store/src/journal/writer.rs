//! The one that owns the files: drain, one write, one fdatasync, advance the watermark.
//!
//! It knows no thread and no clock. The production build runs it on a thread of its own (see
//! [`super::thread`]), a simulation calls [`JournalWriter::write_pending`] itself.
//!
//! A full disk is waited out: the records stay here and the same bytes are written again. Every
//! other failed write, and every failed sync, is final, because after it nobody can say what the
//! disk holds.

use std::collections::VecDeque;
use std::sync::Arc;

use super::queue::{JournalHandle, JournalState, Queued};
use super::recovery::WritableTail;
use super::segment::{
    HEADER_BYTES, JOURNAL_DIR, SegmentHeader, begin_segment, prepare_segment, segment_file,
};
use super::{EpochStart, JournalError, JournalOptions, io_error, space_error};
use crate::disk::Disk;
use crate::envelope::batch::{BATCH_BYTES, BatchHeader, BatchKind};
use crate::envelope::{CONTROL_KIND, Chain, NewRecord, Place, WriterTag, encode, encoded_bytes};
use crate::seq::Seq;

/// The largest record, envelope included, that an empty segment takes: one header, one seal.
pub(crate) fn record_capacity(segment_bytes: u64) -> usize {
    (segment_bytes as usize).saturating_sub(HEADER_BYTES + 2 * BATCH_BYTES)
}

/// The writing end of an open journal. Dropping it closes the journal; what was queued and not
/// written is then lost, as in a crash.
pub struct JournalWriter {
    disk: Arc<dyn Disk>,
    options: JournalOptions,
    handle: JournalHandle,
    tail: WritableTail,
    chain: Chain,
    epoch: u32,
    durable: Seq,
    /// Drained and not yet written: more than nothing only while the disk is full.
    carried: VecDeque<Queued>,
    buffer: Vec<u8>,
}

impl JournalWriter {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        handle: JournalHandle,
        tail: WritableTail,
        chain: Chain,
        epoch: u32,
    ) -> JournalWriter {
        let durable = handle.durable();
        let (carried, buffer) = (VecDeque::new(), Vec::new());
        JournalWriter { disk, options, handle, tail, chain, epoch, durable, carried, buffer }
    }

    /// The queue that this writer drains.
    pub fn handle(&self) -> &JournalHandle {
        &self.handle
    }

    /// The chain value of the last durable record.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Writes everything that waits and makes it durable; answers the new watermark, `None` if
    /// nothing waited. Also prepares the next segment when the current one is half full.
    ///
    /// # Errors
    /// [`JournalError::StorageFull`]: call again when there is space; state and watermark say what
    /// was reached. Anything else is final, and every later call answers `Failed`.
    pub fn write_pending(&mut self) -> Result<Option<Seq>, JournalError> {
        if self.handle.state() == JournalState::Failed {
            return Err(JournalError::Failed);
        }
        if self.carried.is_empty() {
            self.carried = self.handle.drain();
        }
        if self.carried.is_empty() {
            return Ok(None);
        }
        let mut written = self.write_carried();
        if matches!(written, Err(JournalError::StorageFull { .. })) && self.release_ballast() {
            written = self.write_carried();
        }
        let written = written.and_then(|()| self.prepare_next_if_half_full());
        match &written {
            Ok(()) => {
                if self.handle.state() == JournalState::StorageFull {
                    self.handle.set_state(JournalState::Open);
                }
            }
            Err(JournalError::StorageFull { .. }) => {
                self.handle.set_state(JournalState::StorageFull);
            }
            Err(_) => self.handle.set_state(JournalState::Failed),
        }
        written.map(|()| Some(self.durable))
    }

    pub(crate) fn write_epoch_start(
        &mut self,
        start: &EpochStart,
        time_ns: i64,
    ) -> Result<Seq, JournalError> {
        let tag = WriterTag::new("journal", 0).expect("the name is a constant that fits");
        let payload = rmp_serde::to_vec_named(start).expect("two integers always encode");
        let own = NewRecord { kind: CONTROL_KIND, schema_version: 1, checkpoint: false, payload };
        let queued = self.handle.number_control(&tag, time_ns, own);
        let seq = queued.seq;
        self.carried.push_back(queued);
        self.write_carried()?;
        Ok(seq)
    }

    fn release_ballast(&self) -> bool {
        let ballast = self.options.ballast.as_ref();
        ballast.is_some_and(|ballast| ballast.release().unwrap_or(false))
    }

    fn write_carried(&mut self) -> Result<(), JournalError> {
        while !self.carried.is_empty() {
            let count = self.count_that_fits();
            if count == 0 {
                self.switch_segment()?;
            } else {
                self.write_batch(count)?;
            }
        }
        Ok(())
    }

    /// How many of the carried records go into the current segment as one batch. A checkpoint
    /// begins a segment of its own if the current one is half full, so that what lies before it
    /// can be archived one day.
    fn count_that_fits(&self) -> usize {
        let room = self.tail.file_bytes.saturating_sub(self.tail.end) as usize;
        let mut left = room.saturating_sub(2 * BATCH_BYTES);
        let mut count = 0;
        for queued in &self.carried {
            let bytes = encoded_bytes(queued.tag.role(), &queued.record.payload);
            let begins_segment = queued.record.checkpoint && self.is_half_full();
            if bytes > left || begins_segment {
                break;
            }
            left -= bytes;
            count += 1;
        }
        count
    }

    fn is_half_full(&self) -> bool {
        let body = self.tail.file_bytes - HEADER_BYTES as u64;
        self.tail.end - HEADER_BYTES as u64 > body / 2
    }

    fn write_batch(&mut self, count: usize) -> Result<(), JournalError> {
        self.buffer.clear();
        self.buffer.resize(BATCH_BYTES, 0);
        let first_seq = self.durable.next();
        let mut chain = self.chain;
        let mut last = self.durable;
        for queued in self.carried.iter().take(count) {
            let place = Place {
                seq: queued.seq,
                epoch: self.epoch,
                tag: &queued.tag,
                time_ns: queued.time_ns,
                previous: chain,
            };
            chain = encode(&place, &queued.record, &mut self.buffer);
            last = queued.seq;
        }
        // Both fit: a segment is smaller than 4 GiB and a record is not empty.
        let bytes = (self.buffer.len() - BATCH_BYTES) as u32;
        let kind = BatchKind::Records { count: count as u32, bytes };
        let header = BatchHeader { kind, first_seq, durable_before: self.durable };
        self.buffer[..BATCH_BYTES].copy_from_slice(&header.encode());
        self.write_at_end_and_sync()?;
        self.tail.end += self.buffer.len() as u64;
        self.chain = chain;
        self.durable = last;
        self.carried.drain(..count);
        self.handle.advance(last);
        Ok(())
    }

    fn write_at_end_and_sync(&self) -> Result<(), JournalError> {
        let file = segment_file(self.tail.index);
        self.disk
            .write_at(&file, self.tail.end, &self.buffer)
            .map_err(|error| space_error("write", &file, error))?;
        if !mutation::active("skip_fdatasync") {
            self.disk.sync_data(&file).map_err(|error| io_error("sync", &file, error))?;
        }
        Ok(())
    }

    /// Closes the segment and goes on in the next one. The next one exists durably before the seal
    /// says so, and the seal is durable before the next header repeats where it is. Interrupted by
    /// a full disk it is done again from the start, with the same bytes.
    fn switch_segment(&mut self) -> Result<(), JournalError> {
        self.prepare_next()?;
        let first_seq = self.durable.next();
        let seal = BatchHeader { kind: BatchKind::Seal, first_seq, durable_before: self.durable };
        self.buffer.clear();
        self.buffer.extend_from_slice(&seal.encode());
        self.write_at_end_and_sync()?;
        crate::abort_point::reached("segment_switch");
        let header = SegmentHeader {
            index: self.tail.index + 1,
            file_bytes: self.options.segment_bytes,
            first_seq,
            previous_seal_at: self.tail.end,
            previous_chain: self.chain,
        };
        begin_segment(self.disk.as_ref(), &header)?;
        self.tail = WritableTail {
            index: header.index,
            file_bytes: header.file_bytes,
            end: HEADER_BYTES as u64,
            next_is_prepared: false,
        };
        Ok(())
    }

    fn prepare_next(&mut self) -> Result<(), JournalError> {
        if !self.tail.next_is_prepared {
            let index = self.tail.index + 1;
            prepare_segment(self.disk.as_ref(), index, self.options.segment_bytes)?;
            self.tail.next_is_prepared = true;
        }
        Ok(())
    }

    /// Ahead of need a full disk is no error yet: the rest of this segment is already there.
    fn prepare_next_if_half_full(&mut self) -> Result<(), JournalError> {
        if !self.is_half_full() || self.tail.next_is_prepared {
            return Ok(());
        }
        // Filling the last space with zeros, on every write again, would help nobody.
        let free = self.disk.free_bytes();
        let free = free.map_err(|error| io_error("measure", JOURNAL_DIR, error))?;
        if free < self.options.segment_bytes.saturating_mul(2) {
            return Ok(());
        }
        match self.prepare_next() {
            Err(JournalError::StorageFull { .. }) => Ok(()),
            prepared => prepared,
        }
    }
}

impl Drop for JournalWriter {
    fn drop(&mut self) {
        let dies = std::thread::panicking();
        self.handle.set_state(if dies { JournalState::Failed } else { JournalState::Closed });
    }
}
