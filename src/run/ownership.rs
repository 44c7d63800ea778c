//! Whose journal a state folder has: a foreign one is refused before anything is written to it.
//!
//! A journal copied in from another installation verifies byte for byte, and would book another
//! account's orders. Whether a journal is damaged is judged where it is opened.

use crate::failure::Failure;
use desk::record::Record;
use std::path::Path;
use std::sync::Arc;
use store::{Disk, Seq, read_from};
use trading::id::{AccountId, InstallId};

/// The first `Started` follows the first epoch's own record.
const FIRST_STARTED: Seq = Seq(2);

/// Refuses the journal of another installation or account.
///
/// # Errors
/// It is foreign (70). No journal, or one that can't be read here, is no error.
pub fn check(
    folder: &Path,
    disk: &Arc<dyn Disk>,
    install: InstallId,
    account: &AccountId,
) -> Result<(), Failure> {
    let first = read_from(Arc::clone(disk), FIRST_STARTED, Some(FIRST_STARTED)).next();
    let Some(Ok(record)) = first else { return Ok(()) };
    let decoded = Record::decode(record.kind, record.schema_version, &record.payload);
    let Ok(Record::Started { install: other, account: theirs, .. }) = decoded else {
        return Ok(());
    };
    if other == install && theirs == *account {
        return Ok(());
    }
    let why = format!(
        "seq {FIRST_STARTED} says installation {:08x} and account {theirs}, this folder is of \
         {:08x} and the configuration of {account}",
        other.0, install.0
    );
    Err(Failure::internal(format!("the journal in {} is a foreign one", folder.display()))
        .because(why)
        .next(
            "put the folder's own journal/ (or its file `install`) back, or name another --state",
        ))
}
