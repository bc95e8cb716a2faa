//! The client's messages, taken apart. Every read is checked: a message that ends too early or
//! late is 08P01, text that is not UTF-8 is 22021.

use bytes::Bytes;

use crate::error::{PgError, PgResult};
use crate::sqlstate;

/// A message as it lies on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub tag: u8,
    pub body: Bytes,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    Query(String),
    Parse(Parse),
    Bind(Bind),
    Describe(Target),
    Execute {
        portal: String,
        max_rows: usize,
    },
    Close(Target),
    Flush,
    Sync,
    Terminate,
    /// The oldest way to call a function; nothing of it is read.
    FunctionCall,
    CopyData(Bytes),
    CopyDone,
    CopyFail(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parse {
    pub name: String,
    pub sql: String,
    /// 0: not said.
    pub params: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    pub portal: String,
    pub statement: String,
    pub param_formats: Vec<i16>,
    /// `None` is NULL.
    pub params: Vec<Option<Bytes>>,
    pub result_formats: Vec<i16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    Statement(String),
    Portal(String),
}

/// Is this the type of a message a client may send after login?
pub fn is_known(tag: u8) -> bool {
    matches!(
        tag,
        b'Q' | b'P' | b'B' | b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'F' | b'd' | b'c' | b'f'
    )
}

impl Message {
    pub fn parse(frame: Frame) -> PgResult<Message> {
        let mut body = Body { rest: frame.body };
        let message = match frame.tag {
            b'Q' => Message::Query(body.text()?),
            b'P' => {
                let (name, sql) = (body.text()?, body.text()?);
                let count = body.count()?;
                let params = (0..count).map(|_| body.u32()).collect::<PgResult<_>>()?;
                Message::Parse(Parse { name, sql, params })
            }
            b'B' => Message::Bind(body.bind()?),
            b'D' => Message::Describe(body.target()?),
            b'C' => Message::Close(body.target()?),
            b'E' => {
                let portal = body.text()?;
                // Zero and below: no limit.
                let max_rows = usize::try_from(body.u32()? as i32).unwrap_or(0);
                Message::Execute { portal, max_rows }
            }
            b'H' => Message::Flush,
            b'S' => Message::Sync,
            b'X' => Message::Terminate,
            b'F' => return Ok(Message::FunctionCall),
            b'd' => return Ok(Message::CopyData(body.rest)),
            b'c' => Message::CopyDone,
            b'f' => Message::CopyFail(body.text()?),
            other => return Err(unknown_type(other)),
        };
        body.end()?;
        Ok(message)
    }
}

pub fn unknown_type(tag: u8) -> PgError {
    PgError::fatal(
        sqlstate::PROTOCOL_VIOLATION,
        format!("invalid frontend message type {tag}"),
    )
}

pub fn violation(message: impl Into<String>) -> PgError {
    PgError::new(sqlstate::PROTOCOL_VIOLATION, message)
}

/// What is left of a message's body.
pub(crate) struct Body {
    pub(crate) rest: Bytes,
}

impl Body {
    pub(crate) fn take(&mut self, length: usize) -> PgResult<Bytes> {
        if length > self.rest.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(self.rest.split_to(length))
    }

    pub(crate) fn u8(&mut self) -> PgResult<u8> {
        Ok(self.take(1)?[0])
    }

    pub(crate) fn u16(&mut self) -> PgResult<u16> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    pub(crate) fn u32(&mut self) -> PgResult<u32> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    }

    /// A number of things that follow; each has at least two bytes, so that a lie about it
    /// cannot make us allocate.
    fn count(&mut self) -> PgResult<usize> {
        let count = usize::from(self.u16()?);
        if count * 2 > self.rest.len() {
            return Err(violation("insufficient data left in message"));
        }
        Ok(count)
    }

    /// Text up to a zero byte.
    pub(crate) fn text(&mut self) -> PgResult<String> {
        let Some(end) = self.rest.iter().position(|&byte| byte == 0) else {
            return Err(violation("invalid string in message"));
        };
        let bytes = self.rest.split_to(end);
        let _ = self.rest.split_to(1);
        utf8(&bytes).map(str::to_owned)
    }

    fn target(&mut self) -> PgResult<Target> {
        match self.u8()? {
            b'S' => Ok(Target::Statement(self.text()?)),
            b'P' => Ok(Target::Portal(self.text()?)),
            other => Err(violation(format!("invalid message subtype {other}"))),
        }
    }

    fn bind(&mut self) -> PgResult<Bind> {
        let (portal, statement) = (self.text()?, self.text()?);
        let param_formats = self.formats()?;
        let count = self.count()?;
        let mut params = Vec::with_capacity(count);
        for _ in 0..count {
            let length = self.u32()? as i32;
            params.push(match usize::try_from(length) {
                Ok(length) => Some(self.take(length)?),
                Err(_) if length == -1 => None,
                Err(_) => return Err(violation("invalid parameter length in message")),
            });
        }
        let result_formats = self.formats()?;
        Ok(Bind {
            portal,
            statement,
            param_formats,
            params,
            result_formats,
        })
    }

    fn formats(&mut self) -> PgResult<Vec<i16>> {
        let count = self.count()?;
        (0..count).map(|_| Ok(self.u16()? as i16)).collect()
    }

    pub(crate) fn end(&self) -> PgResult<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(violation("invalid message format"))
        }
    }
}

/// Text as it came: valid UTF-8, or 22021 naming the first bytes that are not.
pub fn utf8(bytes: &[u8]) -> PgResult<&str> {
    std::str::from_utf8(bytes).map_err(|error| {
        let bad = &bytes[error.valid_up_to()..];
        let shown: Vec<String> = bad
            .iter()
            .take(error.error_len().unwrap_or(bad.len()).clamp(1, 4))
            .map(|byte| format!("0x{byte:02x}"))
            .collect();
        PgError::new(
            sqlstate::CHARACTER_NOT_IN_REPERTOIRE,
            format!(
                "invalid byte sequence for encoding \"UTF8\": {}",
                shown.join(" ")
            ),
        )
    })
}
