//! Reading the journal: for folding, for snapshots, for the auditor.
//!
//! [`read_from`] may run while a writer is live, if it is bounded by a watermark: below it the
//! files don't change. [`verify`] looks at all of a journal at rest.

use std::sync::Arc;

use crate::disk::Disk;
use crate::envelope::{Chain, Record};
use crate::journal::scan::{SegmentScan, Step, TailEnd, survey};
use crate::journal::segment::{JOURNAL_DIR, SegmentHeader, segment_file, segment_indexes};
use crate::journal::{JournalError, SchemaLimits, TornTail, io_error};
use crate::seq::Seq;

/// The records from one seq on, in order. Ends after the first error.
pub struct JournalReader {
    disk: Arc<dyn Disk>,
    from: Seq,
    up_to: Option<Seq>,
    scan: Option<SegmentScan>,
    failed: bool,
}

/// Reads from `from` (seq 0 and 1 are the same) to `up_to`, both included. Without a bound it
/// reads to the end of a journal at rest; a torn tail is then its last item, as an error.
pub fn read_from(disk: Arc<dyn Disk>, from: Seq, up_to: Option<Seq>) -> JournalReader {
    let from = from.max(Seq(1));
    JournalReader { disk, from, up_to, scan: None, failed: false }
}

impl JournalReader {
    /// Raises the bound of a reader that has come to its end, which then goes on from there
    /// without reading anything twice.
    pub fn extend(&mut self, up_to: Seq) {
        self.up_to = Some(up_to);
        if let Some(scan) = &mut self.scan {
            scan.forget_ahead();
        }
    }

    fn is_past_bound(&self) -> bool {
        let next = self.scan.as_ref().map_or(self.from, |scan| scan.expected.max(self.from));
        self.up_to.is_some_and(|bound| next > bound)
    }

    fn advance(&mut self) -> Result<Option<Record>, JournalError> {
        loop {
            if self.is_past_bound() {
                return Ok(None);
            }
            let mut scan = match self.scan.take() {
                Some(scan) => scan,
                None => match find_segment(self.disk.as_ref(), self.from)? {
                    Some(header) => load(self.disk.as_ref(), header)?,
                    None => return self.end_of_journal(None),
                },
            };
            let read = scan.read_ahead(self.disk.as_ref());
            read.map_err(|error| io_error("read", &scan.file, error))?;
            match scan.step(&SchemaLimits::Any)? {
                Step::Record(record) => {
                    self.scan = Some(scan);
                    if record.seq >= self.from {
                        return Ok(Some(record));
                    }
                }
                Step::Sealed => match next_segment(self.disk.as_ref(), &scan)? {
                    Some(next) => self.scan = Some(next),
                    None => return self.end_of_journal(Some(scan)),
                },
                Step::End => return self.end_of_journal(Some(scan)),
                Step::Damage(why) if self.up_to.is_some() => return Err(scan.corrupt(why)),
                Step::Damage(why) => {
                    let read = scan.read_rest(self.disk.as_ref());
                    read.map_err(|error| io_error("read", &scan.file, error))?;
                    return Err(JournalError::Torn(scan.judge(why)?.torn));
                }
            }
        }
    }

    /// The end is in order without a bound; with one, records that were durable are missing.
    fn end_of_journal(
        &mut self,
        scan: Option<SegmentScan>,
    ) -> Result<Option<Record>, JournalError> {
        let Some(bound) = self.up_to else {
            self.scan = scan;
            return Ok(None);
        };
        let why = format!("the journal ends before seq {bound}");
        Err(match scan {
            Some(scan) => scan.corrupt(why),
            None => {
                let file = segment_file(1);
                JournalError::Corrupt { file, offset: 0, seq: self.from, why }
            }
        })
    }
}

impl Iterator for JournalReader {
    type Item = Result<Record, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let item = self.advance().transpose();
        self.failed = matches!(item, Some(Err(_)));
        item
    }
}

/// The last segment that begins at or before `from`; `None` if no segment is in use.
fn find_segment(disk: &dyn Disk, from: Seq) -> Result<Option<SegmentHeader>, JournalError> {
    let indexes =
        segment_indexes(disk, JOURNAL_DIR).map_err(|error| io_error("list", JOURNAL_DIR, error))?;
    let mut found = None;
    for index in indexes {
        let Some(header) = read_header(disk, index)? else {
            continue;
        };
        if header.first_seq > from {
            if found.is_none() {
                return Err(JournalError::NotKept { asked: from, first: header.first_seq });
            }
            break;
        }
        found = Some(header);
    }
    Ok(found)
}

/// The header of a segment in use; `None` if it is blank or damaged, which shows when it is needed.
fn read_header(disk: &dyn Disk, index: u32) -> Result<Option<SegmentHeader>, JournalError> {
    let read = SegmentHeader::read(disk, index);
    Ok(read.map_err(|error| io_error("read", &segment_file(index), error))?.ok())
}

fn load(disk: &dyn Disk, header: SegmentHeader) -> Result<SegmentScan, JournalError> {
    let file = segment_file(header.index);
    let length = disk.length(&file).map_err(|error| io_error("measure", &file, error))?;
    Ok(SegmentScan::following(header, usize::try_from(length).unwrap_or(usize::MAX)))
}

fn next_segment(
    disk: &dyn Disk,
    sealed: &SegmentScan,
) -> Result<Option<SegmentScan>, JournalError> {
    let index = sealed.header.index + 1;
    let file = segment_file(index);
    if !disk.exists(&file).map_err(|error| io_error("find", &file, error))? {
        return Err(sealed.corrupt("the segment is sealed and the next one is missing"));
    }
    let Some(header) = read_header(disk, index)? else {
        return Ok(None);
    };
    let next = load(disk, header)?;
    if next.expected != sealed.expected || next.chain != sealed.chain {
        return Err(next.corrupt("the segment does not continue the one before"));
    }
    Ok(Some(next))
}

/// What [`verify`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments in use.
    pub segments: u32,
    /// Records that are whole, numbered without a gap and chained.
    pub records: u64,
    /// The first record that is kept.
    pub first_seq: Seq,
    /// The last whole record.
    pub last_seq: Seq,
    /// The chain value after it.
    pub chain: Chain,
    /// A torn tail that the next opening will cut.
    pub torn: Option<TornTail>,
}

/// Checks every byte of a journal at rest and changes nothing.
///
/// # Errors
/// As opening; a torn tail is in the report instead.
pub fn verify(disk: &dyn Disk) -> Result<VerifyReport, JournalError> {
    let found = survey(disk, &SchemaLimits::Any)?;
    let torn = found.tail.and_then(|tail| match tail.end {
        TailEnd::Torn(cut) => Some(cut.torn),
        TailEnd::Open | TailEnd::Sealed => None,
    });
    Ok(VerifyReport {
        segments: found.segments,
        records: found.records,
        first_seq: found.first_seq,
        last_seq: found.last_seq,
        chain: found.chain,
        torn,
    })
}
