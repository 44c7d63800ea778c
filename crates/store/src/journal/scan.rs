//! Walking through the bytes of the journal: one segment, and all of them in a row.
//!
//! Recovery, verification and reading share this walk, so that they cannot disagree about what is
//! a record. It decides what damage means but changes nothing.

use super::segment::{
    ARCHIVE_DIR, HEADER_BYTES, JOURNAL_DIR, SegmentHeader, segment_file, segment_indexes,
};
use super::{JournalError, SchemaLimits, TornTail, io_error};
use crate::disk::Disk;
use crate::envelope::batch::{BATCH_BYTES, BatchHeader, BatchKind};
use crate::envelope::{self, CONTROL_KIND, Chain, NotARecord, Record};
use crate::seq::Seq;
use std::io;

/// What the next place in a segment holds.
#[derive(Debug)]
pub(crate) enum Step {
    Record(Record),
    /// The segment was closed; the next one goes on.
    Sealed,
    /// Nothing but zeros from here on.
    End,
    /// Something else.
    Damage(&'static str),
}

struct OpenBatch {
    start: usize,
    end: usize,
    header: BatchHeader,
    left: u32,
    seen: u32,
}

/// A walk through one segment.
pub(crate) struct SegmentScan {
    pub header: SegmentHeader,
    pub file: String,
    pub offset: usize,
    pub expected: Seq,
    pub chain: Chain,
    bytes: Vec<u8>,
    /// The segment's length; `bytes` may hold less of it.
    length: usize,
    batch: Option<OpenBatch>,
}

/// A walk that follows a writer reads so much at a time.
const WINDOW_BYTES: usize = 64 * 1024;

impl SegmentScan {
    pub fn new(header: SegmentHeader, bytes: Vec<u8>) -> SegmentScan {
        SegmentScan {
            file: segment_file(header.index),
            offset: HEADER_BYTES,
            expected: header.first_seq,
            chain: header.previous_chain,
            header,
            length: bytes.len(),
            bytes,
            batch: None,
        }
    }

    /// A walk that reads as it goes, with [`SegmentScan::read_ahead`] before each step.
    pub fn following(header: SegmentHeader, length: usize) -> SegmentScan {
        SegmentScan { length, ..SegmentScan::new(header, Vec::new()) }
    }

    /// Forgets what was read ahead, which a writer may have changed since; what was walked through
    /// is durable and stays as it is.
    pub fn forget_ahead(&mut self) {
        self.bytes.truncate(self.batch.as_ref().map_or(self.offset, |batch| batch.end));
    }

    /// Reads what the next step looks at: the rest of an open batch is there; else the next batch
    /// whole, or everything where a batch can't be told.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn read_ahead(&mut self, disk: &dyn Disk) -> io::Result<()> {
        if self.batch.as_ref().is_some_and(|batch| batch.left > 0) {
            return Ok(());
        }
        self.read_to(disk, self.offset + BATCH_BYTES)?;
        let batch = BatchHeader::decode(&self.bytes[self.offset.min(self.bytes.len())..]);
        let end = match batch.map(|header| header.kind) {
            Ok(BatchKind::Records { bytes, .. }) => self.offset + BATCH_BYTES + bytes as usize,
            Ok(_) | Err(_) => self.length,
        };
        self.read_to(disk, end)
    }

    /// Reads the rest of the segment, which judging damage needs.
    ///
    /// # Errors
    /// Whatever the disk says.
    pub fn read_rest(&mut self, disk: &dyn Disk) -> io::Result<()> {
        self.read_to(disk, self.length)
    }

    fn read_to(&mut self, disk: &dyn Disk, end: usize) -> io::Result<()> {
        let (from, end) = (self.bytes.len(), end.min(self.length));
        if end <= from {
            return Ok(());
        }
        self.bytes.resize(end.max(from + WINDOW_BYTES).min(self.length), 0);
        let filled = disk.read_at(&self.file, from as u64, &mut self.bytes[from..])?;
        self.bytes.truncate(from + filled);
        Ok(())
    }

    /// Goes one step. Bytes that are sound and in the wrong place are an error at once: tearing
    /// leaves holes, it never moves or exchanges anything.
    pub fn step(&mut self, limits: &SchemaLimits) -> Result<Step, JournalError> {
        if let Some(batch) = &self.batch
            && batch.left == 0
        {
            if self.offset != batch.end {
                return Err(self.corrupt("the batch is longer than its records"));
            }
            self.batch = None;
        }
        if self.batch.is_none() {
            match self.open_batch()? {
                None => {}
                Some(step) => return Ok(step),
            }
        }
        self.next_record(limits)
    }

    /// Steps into the batch at the offset, or says what else is there.
    fn open_batch(&mut self) -> Result<Option<Step>, JournalError> {
        let rest = &self.bytes[self.offset.min(self.bytes.len())..];
        if rest.iter().take(4).all(|byte| *byte == 0) {
            let step = if is_zero(rest) { Step::End } else { Step::Damage("bytes behind the end") };
            return Ok(Some(step));
        }
        let header = match BatchHeader::decode(rest) {
            Ok(header) => header,
            Err(NotARecord::Damaged(why)) => return Ok(Some(Step::Damage(why))),
            Err(NotARecord::Newer { format }) => return Err(self.newer_format(format)),
        };
        if header.first_seq != self.expected {
            return Err(self.corrupt("a whole batch, but not the one that follows"));
        }
        let BatchKind::Records { count, bytes } = header.kind else {
            let clean = is_zero(&rest[BATCH_BYTES..]);
            let step = if clean { Step::Sealed } else { Step::Damage("bytes behind the seal") };
            return Ok(Some(step));
        };
        let start = self.offset;
        let end = start + BATCH_BYTES + bytes as usize;
        if end > self.bytes.len() {
            return Ok(Some(Step::Damage("batch is longer than its segment")));
        }
        self.offset = start + BATCH_BYTES;
        self.batch = Some(OpenBatch { start, end, header, left: count, seen: 0 });
        Ok(None)
    }

    fn next_record(&mut self, limits: &SchemaLimits) -> Result<Step, JournalError> {
        let Some(batch) = &mut self.batch else {
            return Ok(Step::Damage("no batch begins here"));
        };
        let decoded = match envelope::decode(&self.bytes[self.offset..batch.end]) {
            Ok(decoded) => decoded,
            Err(NotARecord::Damaged(why)) => return Ok(Step::Damage(why)),
            Err(NotARecord::Newer { format }) => return Err(self.newer_format(format)),
        };
        if decoded.record.seq != self.expected {
            return Err(self.corrupt("a whole record, but not the one that follows"));
        }
        if decoded.previous != self.chain {
            return Err(self.corrupt("a whole record, but it does not continue the chain"));
        }
        if let Some(what) = beyond(limits, &decoded.record) {
            let (file, offset) = (self.file.clone(), self.offset as u64);
            return Err(JournalError::NewerBuild { file, offset, what });
        }
        batch.left -= 1;
        batch.seen += 1;
        self.offset += decoded.bytes;
        self.expected = self.expected.next();
        self.chain = decoded.record.chain;
        Ok(Step::Record(decoded.record))
    }

    fn newer_format(&self, format: u8) -> JournalError {
        let what = format!("format {format}, this build knows {}", envelope::FORMAT);
        JournalError::NewerBuild { file: self.file.clone(), offset: self.offset as u64, what }
    }

    pub fn corrupt(&self, why: impl Into<String>) -> JournalError {
        let (file, offset) = (self.file.clone(), self.offset as u64);
        JournalError::Corrupt { file, offset, seq: self.expected, why: why.into() }
    }

    /// Judges damage in the last segment: torn, unless a later batch calls it durable.
    pub fn judge(&self, why: &str) -> Result<Cut, JournalError> {
        let rest = &self.bytes[self.offset..];
        if let Some(at) = BatchHeader::find_proof_that_durable(rest, self.expected) {
            let proof = self.offset + at;
            return Err(self.corrupt(format!("{why}, but a batch at {proof} calls it durable")));
        }
        let (from, rewritten) = match &self.batch {
            None => (self.offset, None),
            Some(batch) if batch.seen == 0 => (batch.start, None),
            Some(batch) => {
                let bytes = (self.offset - batch.start - BATCH_BYTES) as u32;
                let kind = BatchKind::Records { count: batch.seen, bytes };
                (self.offset, Some((batch.start as u64, BatchHeader { kind, ..batch.header })))
            }
        };
        let used = self.bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        let bytes = used.saturating_sub(from) as u64;
        let (file, offset) = (self.file.clone(), from as u64);
        Ok(Cut { torn: TornTail { file, offset, seq: self.expected, bytes }, rewritten })
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

fn beyond(limits: &SchemaLimits, record: &Record) -> Option<String> {
    let (kind, version) = (record.kind, record.schema_version);
    let known = match limits {
        SchemaLimits::Any => return None,
        SchemaLimits::Known(_) if kind == CONTROL_KIND => 1,
        SchemaLimits::Known(known) => match known.get(&kind) {
            Some(known) => *known,
            None => return Some(format!("record kind {kind}")),
        },
    };
    (version > known).then(|| format!("version {version} of record kind {kind}, known is {known}"))
}

/// How to cut a torn tail: what to zero, and the header of a batch that keeps some records.
#[derive(Debug)]
pub(crate) struct Cut {
    pub torn: TornTail,
    pub rewritten: Option<(u64, BatchHeader)>,
}

/// How the last segment in use ends.
#[derive(Debug)]
pub(crate) enum TailEnd {
    Open,
    Sealed,
    Torn(Cut),
}

/// The last segment in use.
pub(crate) struct Tail {
    pub header: SegmentHeader,
    pub offset: u64,
    pub end: TailEnd,
}

/// A segment that was prepared and not yet taken into use.
#[derive(Debug)]
pub(crate) struct Unused {
    pub index: u32,
    pub file_bytes: u64,
    pub blank: bool,
}

/// Everything that a walk through the whole journal tells.
pub(crate) struct Survey {
    pub first_seq: Seq,
    pub last_seq: Seq,
    pub chain: Chain,
    pub last_epoch: u32,
    pub checkpoint: Option<Seq>,
    pub records: u64,
    pub segments: u32,
    pub tail: Option<Tail>,
    pub unused: Option<Unused>,
}

enum Found {
    Unused(Unused),
    Used(SegmentScan),
}

/// Walks through all segments and checks that they continue each other. Not for a live journal.
pub(crate) fn survey(disk: &dyn Disk, limits: &SchemaLimits) -> Result<Survey, JournalError> {
    let indexes =
        segment_indexes(disk, JOURNAL_DIR).map_err(|error| io_error("list", JOURNAL_DIR, error))?;
    let mut survey = Survey {
        first_seq: Seq(1),
        last_seq: Seq::ZERO,
        chain: Chain::ORIGIN,
        last_epoch: 0,
        checkpoint: None,
        records: 0,
        segments: 0,
        tail: None,
        unused: None,
    };
    for index in indexes {
        match find(disk, index, survey.last_seq.next())? {
            Found::Unused(unused) => {
                let follows = survey.tail.as_ref().map_or(1, |tail| tail.header.index + 1);
                if survey.unused.is_some() || index != follows {
                    return Err(missing(&survey, follows, "a later segment exists"));
                }
                survey.unused = Some(unused);
            }
            Found::Used(scan) => walk(&mut survey, scan, limits)?,
        }
    }
    check_end(disk, &survey)?;
    Ok(survey)
}

fn find(disk: &dyn Disk, index: u32, expected: Seq) -> Result<Found, JournalError> {
    let file = segment_file(index);
    let bytes = disk.read(&file).map_err(|error| io_error("read", &file, error))?;
    match SegmentHeader::decode(&bytes) {
        Ok(header) if header.index == index && header.file_bytes == bytes.len() as u64 => {
            Ok(Found::Used(SegmentScan::new(header, bytes)))
        }
        Ok(header) => {
            let why = format!(
                "header says segment {} of {} bytes, the file has {} bytes",
                header.index,
                header.file_bytes,
                bytes.len()
            );
            Err(JournalError::Corrupt { file, offset: 0, seq: expected, why })
        }
        Err(NotARecord::Newer { format }) => {
            let what = format!("format {format}, this build knows {}", envelope::FORMAT);
            Err(JournalError::NewerBuild { file, offset: 0, what })
        }
        Err(NotARecord::Damaged(why)) => {
            if !is_zero(bytes.get(HEADER_BYTES..).unwrap_or(&[])) {
                let why = why.to_owned();
                return Err(JournalError::Corrupt { file, offset: 0, seq: expected, why });
            }
            let blank = is_zero(&bytes);
            Ok(Found::Unused(Unused { index, file_bytes: bytes.len() as u64, blank }))
        }
    }
}

fn missing(survey: &Survey, index: u32, why: &str) -> JournalError {
    JournalError::Corrupt {
        file: segment_file(index),
        offset: 0,
        seq: survey.last_seq.next(),
        why: format!("the segment is missing or blank: {why}"),
    }
}

/// Adds one segment in use to the survey.
fn walk(
    survey: &mut Survey,
    mut scan: SegmentScan,
    limits: &SchemaLimits,
) -> Result<(), JournalError> {
    let header = scan.header;
    let needs_checkpoint = match &survey.tail {
        None => {
            let at_origin = (header.first_seq, header.previous_chain) == (Seq(1), Chain::ORIGIN);
            if header.index == 1 && !at_origin {
                return Err(scan.corrupt("the first segment does not begin with seq 1"));
            }
            survey.first_seq = header.first_seq;
            survey.last_seq = header.first_seq.previous();
            survey.chain = header.previous_chain;
            header.index != 1
        }
        Some(tail) => {
            let follows = tail.header.index + 1;
            if survey.unused.is_some() || header.index != follows {
                return Err(missing(survey, follows, "a later one is in use"));
            }
            if !matches!(tail.end, TailEnd::Sealed) || tail.offset != header.previous_seal_at {
                return Err(unsealed(survey, tail));
            }
            if header.first_seq != survey.last_seq.next() || header.previous_chain != survey.chain {
                return Err(scan.corrupt("the segment does not continue the one before"));
            }
            false
        }
    };
    let end = loop {
        match scan.step(limits)? {
            Step::Record(record) => {
                if needs_checkpoint && record.seq == header.first_seq && !record.checkpoint {
                    return Err(
                        scan.corrupt("older segments are missing, and no checkpoint begins")
                    );
                }
                survey.records += 1;
                survey.last_seq = record.seq;
                survey.chain = record.chain;
                survey.last_epoch = survey.last_epoch.max(record.epoch);
                if record.checkpoint {
                    survey.checkpoint = Some(record.seq);
                }
            }
            Step::Sealed => break TailEnd::Sealed,
            Step::End => break TailEnd::Open,
            Step::Damage(why) => break TailEnd::Torn(scan.judge(why)?),
        }
    };
    if needs_checkpoint && scan.expected == header.first_seq {
        return Err(scan.corrupt("older segments are missing, and no checkpoint begins"));
    }
    survey.segments += 1;
    survey.tail = Some(Tail { header, offset: scan.offset as u64, end });
    Ok(())
}

fn unsealed(survey: &Survey, tail: &Tail) -> JournalError {
    let why = match &tail.end {
        TailEnd::Torn(_) => "damaged, though a later segment is in use",
        TailEnd::Open => "ends without its seal, though a later segment is in use",
        TailEnd::Sealed => "is sealed elsewhere than the later segment says",
    };
    JournalError::Corrupt {
        file: segment_file(tail.header.index),
        offset: tail.offset,
        seq: survey.last_seq.next(),
        why: why.to_owned(),
    }
}

fn check_end(disk: &dyn Disk, survey: &Survey) -> Result<(), JournalError> {
    let archived =
        segment_indexes(disk, ARCHIVE_DIR).map_err(|error| io_error("list", ARCHIVE_DIR, error))?;
    match &survey.tail {
        None if !archived.is_empty() => {
            Err(missing(survey, 1, "the archive has segments and the journal has none in use"))
        }
        Some(tail) if matches!(tail.end, TailEnd::Sealed) && survey.unused.is_none() => {
            Err(missing(survey, tail.header.index + 1, "the one before it is sealed"))
        }
        None | Some(_) => Ok(()),
    }
}
