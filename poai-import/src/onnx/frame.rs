//! The framing of a protobuf message, checked before anything is decoded.
//!
//! The decoder trusts lengths and nests as deep as the bytes demand. This check
//! therefore comes first. It allocates nothing and bounds the decoder's work.
//! Every length lies within its message, every varint ends, and nesting has a
//! maximum depth. The number of nodes is limited, and so is the number of
//! fields. Each field costs the decoder a fixed amount of memory besides its
//! bytes.

use super::error::OnnxError;

/// The deepest nesting of messages. Plain graphs reach 7.
const MAX_DEPTH: usize = 32;

/// The most fields of all messages together. The largest field costs the
/// decoder about 600 bytes. A network of thousands of nodes has tens of
/// thousands of fields.
const MAX_FIELDS: usize = 1 << 18;

/// A message of the ONNX schema that may contain other messages.
#[derive(Clone, Copy, PartialEq)]
enum Message {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    ValueInfo,
    Type,
    TensorType,
    Sequence,
    Shape,
    /// A message that contains no other message.
    Leaf,
}

/// The content of a length-delimited field.
enum Content {
    Message(Message),
    /// A sequence of whole varints.
    Varints,
    /// A sequence of whole numbers with this many bytes each.
    Fixed(usize),
    Bytes,
}

impl Message {
    fn content(self, field: u64) -> Content {
        use Message::*;
        Content::Message(match (self, field) {
            (Model, 7) | (Attribute, 6) => Graph,
            (Model, 8 | 14) | (Tensor, 13) | (Shape, 1) => Leaf,
            (Graph, 1) => Node,
            (Graph, 5) | (Attribute, 5) => Tensor,
            (Graph, 11..=13) => ValueInfo,
            (Node, 5) => Attribute,
            (ValueInfo, 2) | (Sequence, 1) => Type,
            (Type, 1) => TensorType,
            (Type, 4) => Sequence,
            (TensorType, 2) => Shape,
            (Tensor, 5 | 7) => return Content::Varints,
            (Tensor, 4) => return Content::Fixed(4),
            (Tensor, 10) => return Content::Fixed(8),
            _ => return Content::Bytes,
        })
    }
}

/// Checks the framing of a whole model.
pub(super) fn check(bytes: &[u8], max_nodes: usize) -> Result<(), OnnxError> {
    let mut walk = Walk { bytes, fields: 0, nodes: 0, max_nodes };
    walk.message(Message::Model, 0, bytes.len(), 0)
}

struct Walk<'a> {
    bytes: &'a [u8],
    fields: usize,
    nodes: usize,
    max_nodes: usize,
}

impl Walk<'_> {
    /// Checks the message in the bytes `at..end`.
    fn message(
        &mut self,
        message: Message,
        mut at: usize,
        end: usize,
        depth: usize,
    ) -> Result<(), OnnxError> {
        count("levels of nesting", depth, MAX_DEPTH)?;
        while at < end {
            let broken = OnnxError::Frame { offset: at };
            self.fields += 1;
            count("fields", self.fields, MAX_FIELDS)?;
            let Some((tag, value)) = self.varint(at, end) else { return Err(broken) };
            let next = match tag & 7 {
                0 => self.varint(value, end).map(|(_, next)| next),
                1 => value.checked_add(8),
                2 => match self.varint(value, end) {
                    Some((length, start)) => {
                        let stop = usize::try_from(length)
                            .ok()
                            .and_then(|length| start.checked_add(length));
                        let Some(stop) = stop.filter(|&stop| stop <= end) else {
                            return Err(broken);
                        };
                        self.content(message.content(tag >> 3), start, stop, depth)?;
                        Some(stop)
                    }
                    None => None,
                },
                5 => value.checked_add(4),
                // Groups do not exist in ONNX.
                _ => None,
            };
            at = next.filter(|&next| next <= end).ok_or(broken)?;
        }
        Ok(())
    }

    fn content(
        &mut self,
        content: Content,
        start: usize,
        stop: usize,
        depth: usize,
    ) -> Result<(), OnnxError> {
        match content {
            Content::Message(message) => {
                if message == Message::Node {
                    self.nodes += 1;
                    count("nodes", self.nodes, self.max_nodes)?;
                }
                self.message(message, start, stop, depth + 1)
            }
            Content::Varints => {
                let mut at = start;
                while at < stop {
                    let broken = OnnxError::Frame { offset: at };
                    at = self.varint(at, stop).ok_or(broken)?.1;
                }
                Ok(())
            }
            Content::Fixed(size) if !(stop - start).is_multiple_of(size) => {
                Err(OnnxError::Frame { offset: start })
            }
            Content::Fixed(_) | Content::Bytes => Ok(()),
        }
    }

    /// The varint at `at`, and its end, which is at most `end`.
    fn varint(&self, at: usize, end: usize) -> Option<(u64, usize)> {
        let mut value = 0u64;
        for (index, &byte) in self.bytes.get(at..end)?.iter().take(10).enumerate() {
            // Ten bytes hold 70 bits, so the last byte may only be 0 or 1.
            if index == 9 && byte > 1 {
                return None;
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                return Some((value, at + index + 1));
            }
        }
        None
    }
}

fn count(what: &'static str, number: usize, limit: usize) -> Result<(), OnnxError> {
    if number > limit { Err(OnnxError::TooMany { what, limit }) } else { Ok(()) }
}
