//! The wire format of protobuf: the fields of a message, in their order.

use super::ProtobufError;

/// A field's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Field<'a> {
    /// The bytes of a string, a message, or bytes.
    pub(super) fn bytes(self, name: &'static str) -> Result<&'a [u8], ProtobufError> {
        match self {
            Field::Bytes(bytes) => Ok(bytes),
            other => Err(ProtobufError::Mismatch(name, other.wire_type())),
        }
    }

    /// The bits of an integer or a boolean.
    pub(super) fn varint(self, name: &'static str) -> Result<u64, ProtobufError> {
        match self {
            Field::Varint(bits) => Ok(bits),
            other => Err(ProtobufError::Mismatch(name, other.wire_type())),
        }
    }

    fn wire_type(self) -> u64 {
        match self {
            Field::Varint(_) => 0,
            Field::Fixed64 => 1,
            Field::Bytes(_) => 2,
            Field::Fixed32 => 5,
        }
    }
}

/// Iterates over the fields of a message: number and content. It ends after the first error.
pub(super) struct Message<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Message { rest: bytes }
    }

    fn field(&mut self) -> Result<(u32, Field<'a>), ProtobufError> {
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).map_err(|_| ProtobufError::Overflow)?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => self.take(8).map(|_| Field::Fixed64)?,
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| ProtobufError::Overflow)?;
                Field::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Field::Fixed32)?,
            other => return Err(ProtobufError::WireType(other)),
        };
        Ok((number, field))
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.rest.split_first().ok_or(ProtobufError::Short)?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtobufError::Overflow)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], ProtobufError> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(ProtobufError::Short)?;
        self.rest = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Result<(u32, Field<'a>), ProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}
