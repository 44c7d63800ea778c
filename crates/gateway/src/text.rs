//! The text dialect: fields ended by NUL bytes, in an order that depends on the server version.
//!
//! Served are versions 176 to 178, as clients that don't speak protobuf offer them. An unset number
//! is an empty field; clients also write the greatest double or int. Reading is strict about what
//! is missing and about what is no number, and never reserves more than the frame holds.

mod orders;
mod requests;
mod responses;
#[cfg(test)]
mod tests;

pub use requests::read_request;
pub use responses::write_response;

use crate::message::MessageError;

/// The least version of the dialect that is served.
pub const LEAST_VERSION: i32 = 176;
/// The highest: from 201 on messages turn to protobuf one by one.
pub const HIGHEST_VERSION: i32 = 178;

/// Unset, as clients write it.
const UNSET_INT: &str = "2147483647";

/// The fields of a frame, read one by one.
pub struct Fields<'a> {
    id: i32,
    left: std::str::Split<'a, char>,
    remaining: usize,
    version: i32,
}

impl<'a> Fields<'a> {
    /// The fields of `text` after its message number.
    ///
    /// # Errors
    /// When it doesn't begin with one.
    pub fn new(text: &'a str, version: i32) -> Result<(i32, Self), MessageError> {
        let body = text.strip_suffix('\0').unwrap_or(text);
        let mut left = body.split('\0');
        let id = left.next().and_then(|first| first.trim().parse().ok());
        let id = id.ok_or_else(|| MessageError::Malformed {
            id: 0,
            reason: "it has no message number".to_owned(),
        })?;
        let remaining = left.clone().count();
        Ok((id, Self { id, left, remaining, version }))
    }

    fn malformed(&self, reason: impl Into<String>) -> MessageError {
        MessageError::Malformed { id: self.id, reason: reason.into() }
    }

    fn next(&mut self) -> Result<&'a str, MessageError> {
        let next = self.left.next().ok_or_else(|| self.malformed("fields are missing"))?;
        self.remaining -= 1;
        Ok(next)
    }

    fn skip(&mut self, count: usize) -> Result<(), MessageError> {
        for _ in 0..count {
            self.next()?;
        }
        Ok(())
    }

    fn text(&mut self) -> Result<String, MessageError> {
        self.next().map(str::to_owned)
    }

    fn int(&mut self) -> Result<i32, MessageError> {
        let text = self.next()?;
        if text.is_empty() {
            return Ok(0);
        }
        text.parse().map_err(|_| self.malformed(format!("`{text}` is no whole number")))
    }

    fn optional_int(&mut self) -> Result<Option<i32>, MessageError> {
        let text = self.next()?;
        if text.is_empty() || text == UNSET_INT {
            return Ok(None);
        }
        let number = text.parse().map_err(|_| self.malformed(format!("`{text}` is no number")))?;
        Ok(Some(number))
    }

    fn optional_double(&mut self) -> Result<Option<f64>, MessageError> {
        let text = self.next()?;
        if text.is_empty() {
            return Ok(None);
        }
        let number: f64 =
            text.parse().map_err(|_| self.malformed(format!("`{text}` is no number")))?;
        if number == f64::MAX || text.eq_ignore_ascii_case("infinity") {
            return Ok(None);
        }
        if number.is_finite() {
            Ok(Some(number))
        } else {
            Err(self.malformed(format!("`{text}` is no number")))
        }
    }

    fn double(&mut self) -> Result<f64, MessageError> {
        Ok(self.optional_double()?.unwrap_or(0.0))
    }

    fn flag(&mut self) -> Result<bool, MessageError> {
        let text = self.next()?;
        match text {
            "" | "0" | "false" | "False" => Ok(false),
            "1" | "true" | "True" => Ok(true),
            _ => Err(self.malformed(format!("`{text}` is no flag"))),
        }
    }

    /// A count of groups that follow, each of at least one field.
    fn count(&mut self) -> Result<usize, MessageError> {
        let count = self.int()?;
        let count = usize::try_from(count).map_err(|_| self.malformed("a count is negative"))?;
        if count > self.remaining {
            return Err(self.malformed(format!("{count} groups are announced, fields are missing")));
        }
        Ok(count)
    }
}

/// Fields on their way out.
pub struct Writer {
    bytes: Vec<u8>,
    version: i32,
}

impl Writer {
    /// A message that begins with its number.
    #[must_use]
    pub fn new(id: i32, version: i32) -> Self {
        let mut writer = Self { bytes: Vec::new(), version };
        writer.int(id);
        writer
    }

    /// Its bytes.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn text(&mut self, text: &str) -> &mut Self {
        // A NUL inside would shift every field after it.
        self.bytes.extend(text.bytes().filter(|byte| *byte != 0));
        self.bytes.push(0);
        self
    }

    fn int(&mut self, number: impl Into<i64>) -> &mut Self {
        self.text(&number.into().to_string())
    }

    fn flag(&mut self, flag: bool) -> &mut Self {
        self.text(if flag { "1" } else { "0" })
    }

    fn double(&mut self, number: f64) -> &mut Self {
        self.text(&number.to_string())
    }

    fn optional(&mut self, number: Option<f64>) -> &mut Self {
        self.text(&number.map(|number| number.to_string()).unwrap_or_default())
    }

    fn optional_int(&mut self, number: Option<i32>) -> &mut Self {
        self.text(&number.map(|number| number.to_string()).unwrap_or_default())
    }

    fn blanks(&mut self, count: usize) -> &mut Self {
        self.bytes.extend(std::iter::repeat_n(0, count));
        self
    }

    fn count(&mut self, count: usize) -> &mut Self {
        self.text(&count.to_string())
    }
}
