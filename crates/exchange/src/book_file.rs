//! The venue's files: `book.jsonl`, one [`BookChange`] a line, and `market.json`, the market's
//! state.
//!
//! Plain files without `store`, as the venue is a stranger to the node. `write`, no fsync: the
//! venue survives the node's death, not the machine's. A last line without its line feed is torn by
//! a kill in the middle of a write: it is cut off and reported. When to write is left to the host.

use crate::books::{BookChange, BookError};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// After so many lines the book is written anew as one snapshot.
pub const LINES_BEFORE_COMPACTION: usize = 50_000;

/// A change as a line, without line feed.
#[must_use]
pub fn to_line(change: &BookChange) -> String {
    serde_json::to_string(change).expect("book changes have text keys and finite numbers")
}

/// A change from its line; `number` counts from 1 and only serves the error.
pub fn from_line(line: &str, number: usize) -> Result<BookChange, BookError> {
    serde_json::from_str(line)
        .map_err(|error| BookError::Line { line: number, reason: error.to_string() })
}

/// Why the venue's files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum VenueFileError {
    /// The operating system refused.
    #[error("can't {action} {path}: {source}; check the folder, its permissions and free space")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// A whole line is damaged.
    #[error("{path}: {source}; restore the file or start a new venue folder")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where and how.
        source: BookError,
    },
}

/// What was found at opening.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct VenueState {
    /// All changes, in order; empty for a new venue.
    pub changes: Vec<BookChange>,
    /// The market's state as it was last saved.
    pub market: Option<String>,
    /// Bytes of a torn last line that were cut off.
    pub torn_bytes: usize,
}

/// The open files of a venue folder.
#[derive(Debug)]
pub struct VenueFiles {
    folder: PathBuf,
    book: File,
    lines: usize,
}

impl VenueFiles {
    /// Opens the folder, making it if need be, and reads what it holds.
    pub fn open(folder: &Path) -> Result<(Self, VenueState), VenueFileError> {
        fs::create_dir_all(folder).map_err(|source| failed("create", folder, source))?;
        let path = folder.join("book.jsonl");
        let book = open_book(&path)?;
        let bytes = fs::read(&path).map_err(|source| failed("read", &path, source))?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let torn_bytes = bytes.len() - whole;
        if torn_bytes > 0 {
            book.set_len(whole as u64).map_err(|source| failed("truncate", &path, source))?;
        }
        let text = String::from_utf8_lossy(&bytes[..whole]);
        let changes: Result<Vec<_>, _> =
            text.lines().enumerate().map(|(index, line)| from_line(line, index + 1)).collect();
        let changes =
            changes.map_err(|source| VenueFileError::Damaged { path: path.clone(), source })?;
        let market_path = folder.join("market.json");
        let market = match fs::read_to_string(&market_path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(failed("read", &market_path, source)),
        };
        let lines = changes.len();
        let files = Self { folder: folder.to_owned(), book, lines };
        Ok((files, VenueState { changes, market, torn_bytes }))
    }

    /// Appends changes in one write.
    pub fn append(&mut self, changes: &[BookChange]) -> Result<(), VenueFileError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut text = String::new();
        for change in changes {
            text.push_str(&to_line(change));
            text.push('\n');
        }
        self.lines += changes.len();
        let path = self.folder.join("book.jsonl");
        self.book.write_all(text.as_bytes()).map_err(|source| failed("append to", &path, source))
    }

    /// The book has grown enough to be written anew.
    #[must_use]
    pub const fn wants_compaction(&self) -> bool {
        self.lines >= LINES_BEFORE_COMPACTION
    }

    /// Replaces the book by one snapshot of the exchange whose changes have all been appended.
    pub fn compact(&mut self, snapshot: &BookChange) -> Result<(), VenueFileError> {
        let path = self.folder.join("book.jsonl");
        self.replace(&path, &(to_line(snapshot) + "\n"))?;
        self.book = open_book(&path)?;
        self.lines = 1;
        Ok(())
    }

    /// Saves the market's state in place of the one before.
    pub fn save_market(&mut self, state: &str) -> Result<(), VenueFileError> {
        self.replace(&self.folder.join("market.json"), state)
    }

    fn replace(&self, path: &Path, text: &str) -> Result<(), VenueFileError> {
        let beside = path.with_extension("new");
        fs::write(&beside, text).map_err(|source| failed("write", &beside, source))?;
        fs::rename(&beside, path).map_err(|source| failed("rename to", path, source))
    }
}

fn open_book(path: &Path) -> Result<File, VenueFileError> {
    let options = OpenOptions::new().create(true).append(true).open(path);
    options.map_err(|source| failed("open", path, source))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> VenueFileError {
    VenueFileError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use crate::{Exchange, ExchangeConfig};

    #[test]
    fn a_torn_last_line_is_cut_and_a_damaged_one_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut exchange = Exchange::new(ExchangeConfig::default(), samples::at(0, 0));
        let changes = exchange.take_changes();
        let (mut files, found) = VenueFiles::open(folder.path()).unwrap();
        assert_eq!(found, VenueState::default());
        files.append(&changes).unwrap();
        files.save_market("{}").unwrap();
        drop(files);

        let path = folder.path().join("book.jsonl");
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"Ended\":{"].concat()).unwrap();
        let (_, found) = VenueFiles::open(folder.path()).unwrap();
        assert_eq!((found.torn_bytes, &found.changes), (10, &changes));
        assert_eq!(found.market.as_deref(), Some("{}"));
        assert_eq!(fs::read(&path).unwrap(), whole);

        fs::write(&path, [b"rubbish\n", &whole[..]].concat()).unwrap();
        let error = VenueFiles::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("line 1"), "{error}");
    }

    #[test]
    fn a_compacted_book_restores_the_same_exchange() {
        let folder = tempfile::tempdir().unwrap();
        let exchange = Exchange::new(ExchangeConfig::default(), samples::at(0, 0));
        let (mut files, _) = VenueFiles::open(folder.path()).unwrap();
        files.compact(&exchange.snapshot()).unwrap();
        files.append(&[BookChange::Opened { time: samples::at(1, 0) }]).unwrap();
        let (_, found) = VenueFiles::open(folder.path()).unwrap();
        assert_eq!(found.changes.len(), 2);
        let restored = Exchange::restore(ExchangeConfig::default(), found.changes).unwrap();
        assert_eq!(restored.cash(), exchange.cash());
    }
}
