//! The token that lets a command change the node: whoever may read the state folder may command.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The token's file in the state folder.
pub const TOKEN_FILE: &str = "api.token";
/// The header that carries it.
pub const TOKEN_HEADER: &str = "x-optionsib-token";

/// Bytes of randomness in a token.
const TOKEN_BYTES: usize = 32;

/// The token can't be made or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {source}")]
pub struct TokenError {
    operation: &'static str,
    path: PathBuf,
    source: io::Error,
}

/// A secret of one process life.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Draws a new one and writes it into `state_dir`, readable by its owner only.
    ///
    /// # Errors
    /// There is no randomness, or the file can't be written.
    pub fn create(state_dir: &Path) -> Result<Self, TokenError> {
        let mut bytes = [0; TOKEN_BYTES];
        let source = Path::new("/dev/urandom");
        fs::File::open(source)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .map_err(|error| failed("read", source, error))?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = state_dir.join(TOKEN_FILE);
        // Written beside and renamed: the mode of an older file doesn't matter, and a client never
        // reads half a token.
        let new = state_dir.join(format!("{TOKEN_FILE}.new"));
        write_private(&new, &text).map_err(|error| failed("write", &new, error))?;
        fs::rename(&new, &path).map_err(|error| failed("replace", &path, error))?;
        Ok(Self(text))
    }

    /// Reads the one that the running node wrote.
    ///
    /// # Errors
    /// There is none, or it can't be read.
    pub fn read(state_dir: &Path) -> Result<Self, TokenError> {
        let path = state_dir.join(TOKEN_FILE);
        let text = fs::read_to_string(&path).map_err(|error| failed("read", &path, error))?;
        Ok(Self(text.trim().to_owned()))
    }

    /// The header's value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this token, in a time that doesn't tell how much of it is right.
    #[must_use]
    pub fn matches(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differing = own.iter().zip(given).fold(0, |differing, (a, b)| differing | (a ^ b));
        !own.is_empty() && own.len() == given.len() && differing == 0
    }
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> TokenError {
    TokenError { operation, path: path.to_owned(), source }
}

fn write_private(path: &Path, text: &str) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_token_is_private_new_at_each_start_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let first = Token::create(folder.path()).unwrap();
        let second = Token::create(folder.path()).unwrap();
        let read = Token::read(folder.path()).unwrap();
        assert!(second.matches(read.as_str().as_bytes()));
        assert!(!first.matches(read.as_str().as_bytes()));
        let file = fs::metadata(folder.path().join(TOKEN_FILE)).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_part_of_the_token_and_an_empty_token_do_not_match() {
        let token = Token("abcd".to_owned());
        assert!(token.matches(b"abcd"));
        for wrong in [&b""[..], b"abc", b"abce", b"abcde"] {
            assert!(!token.matches(wrong));
        }
        assert!(!Token(String::new()).matches(b""));
    }

    #[test]
    fn a_missing_token_names_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = Token::read(folder.path()).err().unwrap().to_string();
        assert!(error.contains("api.token"), "{error}");
    }
}
