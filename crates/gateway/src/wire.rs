//! Frames and the handshake: bytes of a connection to requests, responses to bytes.
//!
//! A client opens with `API\0` and a frame that names the versions it speaks; the gateway answers
//! with one and its time. Version ranges of the clients in use don't overlap, so each connection
//! has its own: the highest of both sides, but nothing between 179 and 212, where messages turn to
//! protobuf one by one. Frames are a length and as many bytes. What arrives is bounded by
//! [`LONGEST_FRAME`]; a length beyond it, a truncated opening or an unknown dialect end the
//! connection with a reason, an unreadable message is skipped with one.

use crate::message::{MessageError, Request, Response};
use crate::text;

/// The highest version that is offered.
pub const HIGHEST_VERSION: i32 = 226;
/// From this version on every message is protobuf.
pub const PROTOBUF_VERSION: i32 = 213;
/// No client's message is nearly as long.
pub const LONGEST_FRAME: usize = 1 << 20;
/// Protobuf messages carry their number plus this.
const PROTOBUF_OFFSET: i32 = 200;
const MAGIC: &[u8] = b"API\0";
const LONGEST_OPENING: usize = 256;

/// Why a connection can't go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// It doesn't begin as a client of this protocol does.
    #[error("the connection doesn't begin with API and a version range; is it a TWS client?")]
    Opening,
    /// It speaks no version that is served.
    #[error("the client speaks v{least}..{highest}, served are 176 to 178 and 213 to 226")]
    Version {
        /// The client's least.
        least: i32,
        /// The client's highest.
        highest: i32,
    },
    /// A length that no message has.
    #[error("a frame of {0} bytes is announced, the longest allowed has {LONGEST_FRAME}")]
    Length(usize),
}

/// What came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The handshake is done in this version.
    Opened(i32),
    /// A request.
    Request(Request),
    /// A frame that is no request; the connection goes on.
    Unreadable(MessageError),
}

/// The version of a connection whose client speaks `least` to `highest`.
///
/// # Errors
/// When none is served.
pub fn negotiate(least: i32, highest: i32) -> Result<i32, WireError> {
    let version = match highest.min(HIGHEST_VERSION) {
        version if version >= PROTOBUF_VERSION => version,
        version => version.min(text::HIGHEST_VERSION),
    };
    if version < least || version < text::LEAST_VERSION {
        return Err(WireError::Version { least, highest });
    }
    Ok(version)
}

/// The reading side of a connection.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: Vec<u8>,
    magic: bool,
    version: Option<i32>,
}

impl Reader {
    /// The negotiated version, once the handshake is done.
    #[must_use]
    pub const fn version(&self) -> Option<i32> {
        self.version
    }

    /// Bytes of a message that is not whole yet.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// Takes bytes as they come and pushes what they complete.
    ///
    /// # Errors
    /// When the connection can't go on; what was complete before has been pushed.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Incoming>) -> Result<(), WireError> {
        self.buffer.extend_from_slice(bytes);
        let mut used = 0;
        let result = self.take_frames(&mut used, out);
        self.buffer.drain(..used);
        result
    }

    fn take_frames(&mut self, used: &mut usize, out: &mut Vec<Incoming>) -> Result<(), WireError> {
        if !self.magic {
            let known = self.buffer.len().min(MAGIC.len());
            if self.buffer[..known] != MAGIC[..known] {
                return Err(WireError::Opening);
            }
            if known < MAGIC.len() {
                return Ok(());
            }
            self.magic = true;
            *used = MAGIC.len();
        }
        loop {
            let left = &self.buffer[*used..];
            let Some(head) = left.first_chunk::<4>() else { return Ok(()) };
            let length = usize::try_from(u32::from_be_bytes(*head)).unwrap_or(usize::MAX);
            let longest = if self.version.is_some() { LONGEST_FRAME } else { LONGEST_OPENING };
            if length > longest {
                return Err(WireError::Length(length));
            }
            let Some(body) = left.get(4..4 + length) else { return Ok(()) };
            *used += 4 + length;
            match self.version {
                None => {
                    let version = opening(body)?;
                    self.version = Some(version);
                    out.push(Incoming::Opened(version));
                }
                Some(version) => out.push(match read_request(body, version) {
                    Ok(request) => Incoming::Request(request),
                    Err(error) => Incoming::Unreadable(error),
                }),
            }
        }
    }
}

fn opening(body: &[u8]) -> Result<i32, WireError> {
    let text = std::str::from_utf8(body).map_err(|_| WireError::Opening)?;
    let range = text.trim_end_matches('\0').split(' ').next().unwrap_or_default();
    let range = range.strip_prefix('v').ok_or(WireError::Opening)?;
    let (least, highest) = range.split_once("..").unwrap_or((range, range));
    let number = |text: &str| text.parse::<i32>().map_err(|_| WireError::Opening);
    negotiate(number(least)?, number(highest)?)
}

/// The request in a frame's body.
///
/// # Errors
/// When it is none.
pub fn read_request(body: &[u8], version: i32) -> Result<Request, MessageError> {
    if version < PROTOBUF_VERSION {
        let text = String::from_utf8_lossy(body);
        return text::read_request(&text, version);
    }
    let Some((head, fields)) = body.split_first_chunk::<4>() else {
        let reason = "it is shorter than a message number".to_owned();
        return Err(MessageError::Malformed { id: 0, reason });
    };
    let number = i32::from_be_bytes(*head);
    if number <= PROTOBUF_OFFSET {
        let reason = "it is a text message on a protobuf connection".to_owned();
        return Err(MessageError::Malformed { id: number, reason });
    }
    Request::decode(number - PROTOBUF_OFFSET, fields)
}

/// A response as a whole frame; `None` for one that the version has no message for.
#[must_use]
pub fn write_response(response: &Response, version: i32) -> Option<Vec<u8>> {
    let body = if version < PROTOBUF_VERSION {
        text::write_response(response, version)?
    } else {
        let mut body = (response.id() + PROTOBUF_OFFSET).to_be_bytes().to_vec();
        body.extend(response.encode());
        body
    };
    Some(frame(&body))
}

/// The answer to the opening.
#[must_use]
pub fn write_opening(version: i32, time: &str) -> Vec<u8> {
    frame(format!("{version}\0{time}\0").as_bytes())
}

fn frame(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("responses are shorter than 4 GiB");
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::session::StartApiRequest;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> (Vec<Incoming>, Result<(), WireError>) {
        let mut out = Vec::new();
        let result = Reader::default().feed(bytes, &mut out);
        (out, result)
    }

    #[test]
    fn each_client_in_use_is_given_a_version_that_it_speaks() {
        for (least, highest, version) in
            [(213, 226, 226), (100, 226, 226), (100, 225, 225), (157, 178, 178), (157, 176, 176)]
        {
            assert_eq!(negotiate(least, highest), Ok(version));
        }
        assert_eq!(negotiate(100, 210), Ok(178), "nothing of 201 to 212");
        assert_eq!(negotiate(100, 300), Ok(226));
        assert!(negotiate(185, 210).is_err() && negotiate(100, 150).is_err());
    }

    #[test]
    fn the_opening_and_the_first_request_may_come_byte_by_byte() {
        let bytes = b"API\0\0\0\0\tv100..226\0\0\0\x06\0\0\x01\x0f\x08\x3d";
        let (mut reader, mut out) = (Reader::default(), Vec::new());
        for byte in bytes {
            reader.feed(&[*byte], &mut out).unwrap();
        }
        let start = StartApiRequest { client_id: 61, capabilities: String::new() };
        let expected = [Incoming::Opened(226), Incoming::Request(Request::StartApi(start))];
        assert_eq!(out, expected);
    }

    #[test]
    fn a_length_of_two_gigabytes_ends_the_connection_before_anything_is_kept() {
        let (_, result) = read(b"API\0\x7f\xff\xff\xff");
        assert_eq!(result, Err(WireError::Length(0x7fff_ffff)));
        let (out, result) = read(b"API\0\0\0\0\tv157..178\x7f\xff\xff\xff");
        assert_eq!((out.len(), result), (1, Err(WireError::Length(0x7fff_ffff))));
        assert_eq!(read(b"GET / HTTP/1.1").1, Err(WireError::Opening));
    }

    #[test]
    fn unknown_numbers_are_skipped_with_a_reason() {
        let (out, result) = read(b"API\0\0\0\0\tv157..178\0\0\0\x04999\0\0\0\0\x0549\x001\0");
        assert_eq!(result, Ok(()));
        assert_eq!(out[1], Incoming::Unreadable(MessageError::Unknown(999)));
        assert!(matches!(out[2], Incoming::Request(Request::CurrentTime(_))));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_keep_no_more_than_one_frame(
            opening in prop_oneof![Just("v157..178"), Just("v100..226")],
            bytes in prop::collection::vec(any::<u8>(), 0..2000),
        ) {
            let (mut reader, mut out) = (Reader::default(), Vec::new());
            reader.feed(b"API\0\0\0\0\t", &mut out).unwrap();
            reader.feed(opening.as_bytes(), &mut out).unwrap();
            let _ = reader.feed(&bytes, &mut out);
            prop_assert!(reader.buffer.len() <= bytes.len());
        }

        #[test]
        fn arbitrary_fields_are_read_or_refused(
            id in 1..110i32,
            fields in prop::collection::vec("[0-9.A-Za-z-]{0,6}", 0..140),
            version in 176..179i32,
        ) {
            let text = format!("{id}\0{}\0", fields.join("\0"));
            let _ = read_request(text.as_bytes(), version);
        }

        #[test]
        fn arbitrary_protobuf_is_read_or_refused(
            id in 201..310i32,
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let _ = read_request(&[&id.to_be_bytes()[..], &bytes].concat(), 226);
        }
    }
}
