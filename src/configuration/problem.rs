//! What can be wrong with the configuration, said so that it can be mended without the source.

use crate::failure::{Exit, Failure};
use std::io;
use std::path::PathBuf;
use strategy::tome::TomeError;

/// Why the configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// A file is not there, or can't be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is no YAML.
    #[error("{}: {reason}", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// Where and what.
        reason: String,
    },
    /// A key is unknown, missing, of the wrong kind, or has a value that is not allowed.
    #[error("{}: {key}: {reason}", file.display())]
    Key {
        /// The file that has it, or that should.
        file: PathBuf,
        /// The path of the key, such as `limits.premium_max`.
        key: String,
        /// What is wrong, and what may stand there.
        reason: String,
    },
    /// The fee table is wrong.
    #[error("{}: {reason}", file.display())]
    Fees {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A tome is wrong; it names its file and field.
    #[error(transparent)]
    Tome(TomeError),
}

impl From<ConfigurationError> for Failure {
    fn from(error: ConfigurationError) -> Self {
        let next = match &error {
            ConfigurationError::Unreadable { .. } => {
                "run from the folder that has config/, or name it with --config"
            }
            ConfigurationError::Syntax { .. }
            | ConfigurationError::Key { .. }
            | ConfigurationError::Fees { .. }
            | ConfigurationError::Tome(_) => "mend the file; config/main.yaml explains its keys",
        };
        Failure::new(Exit::Configuration, "the configuration is not valid")
            .because(error)
            .next(next)
    }
}
