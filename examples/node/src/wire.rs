//! Messages between nodes, and how long they may be.
//!
//! A node tells its peers each new tip, and whoever has a worse one asks for the
//! blocks. Blocks come only in answers, on a block that the asker named: one that
//! nobody asked for, or without a parent, is the sender's fault and not a matter of
//! who heard what first.
//!
//! A frame is a length in four bytes and a message in postcard's encoding.
//! Longer frames than any message are refused by their length, unread.

use crate::block::{Block, Id};
use crate::network::RULES;
use serde::{Deserialize, Serialize};
use tokio_util::codec::LengthDelimitedCodec;

/// Ids in a locator, at most.
pub const LOCATOR_MAX: usize = 64;
/// Blocks in answer to one request.
pub const BLOCKS_PER_REQUEST: usize = 32;
/// A header in postcard's encoding, a tag and the proof's length, at most.
const HEADER_MAX: u64 = 256;

/// What nodes say to each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// First, from both sides: the digest of rules and genesis.
    Hello {
        /// [`crate::network::Network::digest`].
        network: [u8; 32],
    },
    /// The sender's best block and the work behind it. A claim, believed only
    /// as far as asking for blocks.
    Tip {
        /// The block.
        id: Id,
        /// [`poai_verify::chain::Work`], the most significant byte first.
        work: [u8; 32],
    },
    /// Asks for the blocks after the highest of these that is on the receiver's
    /// chain: where the last answer ended, the sender's tip, then ever farther back.
    GetBlocks {
        /// At most [`LOCATOR_MAX`].
        locator: Vec<Id>,
    },
    /// One block of an answer.
    Block(Block),
    /// The end of an answer.
    End,
}

/// Why a frame is no message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("not a message: {0}")]
    Encoding(#[from] postcard::Error),
    #[error("{0} bytes after the message")]
    Trailing(usize),
    #[error("{0} ids in a locator, at most {LOCATOR_MAX}")]
    Locator(usize),
    #[error("the frame: {0}")]
    Frame(#[from] std::io::Error),
}

/// The most bytes of a frame.
pub fn frame_max() -> usize {
    usize::try_from(RULES.proof_bytes_max() + HEADER_MAX).unwrap_or(usize::MAX)
}

/// Frames of at most [`frame_max`] bytes.
pub fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(frame_max()).new_codec()
}

impl Message {
    /// The bytes of a frame.
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        Ok(postcard::to_allocvec(self)?)
    }

    /// Reads a frame; all of it has to be one message.
    pub fn decode(frame: &[u8]) -> Result<Message, WireError> {
        let (message, rest) = postcard::take_from_bytes(frame)?;
        if !rest.is_empty() {
            return Err(WireError::Trailing(rest.len()));
        }
        match &message {
            Message::GetBlocks { locator } if locator.len() > LOCATOR_MAX => {
                Err(WireError::Locator(locator.len()))
            }
            _ => Ok(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Header;
    use proptest::prelude::*;

    fn message() -> impl Strategy<Value = Message> {
        let id = any::<[u8; 32]>().prop_map(Id);
        let header = (id.clone(), any::<[u64; 3]>(), any::<[u32; 2]>(), any::<[u8; 32]>());
        let header =
            header.prop_map(|(parent, [height, time, nonce], [difficulty, miner], hash)| Header {
                parent,
                height,
                time,
                difficulty,
                miner,
                transactions: hash,
                nonce,
            });
        let proof = prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            any::<[u8; 32]>().prop_map(|network| Message::Hello { network }),
            (id.clone(), any::<[u8; 32]>()).prop_map(|(id, work)| Message::Tip { id, work }),
            prop::collection::vec(id, 0..=LOCATOR_MAX)
                .prop_map(|locator| Message::GetBlocks { locator }),
            (header, proof).prop_map(|(header, proof)| Message::Block(Block { header, proof })),
            Just(Message::End),
        ]
    }

    proptest! {
        #[test]
        fn any_message_is_read_as_it_was_written(message in message()) {
            prop_assert_eq!(&Message::decode(&message.encode().unwrap()).unwrap(), &message);
        }

        /// Altered and cut messages, and any bytes: a message within the limits, or an
        /// error.
        #[test]
        fn any_bytes_are_a_message_or_none(
            message in message(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
            more in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = message.encode().unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
                bytes.extend(&more);
            }
            for bytes in [bytes, more] {
                let Ok(read) = Message::decode(&bytes) else { continue };
                if let Message::GetBlocks { locator } = &read {
                    prop_assert!(locator.len() <= LOCATOR_MAX);
                }
                prop_assert_eq!(Message::decode(&read.encode().unwrap()).unwrap(), read);
            }
        }
    }

    #[test]
    fn messages_are_read_as_they_were_written() {
        let ids = |count: u8| (0..count).map(|byte| Id([byte; 32])).collect::<Vec<_>>();
        for message in [
            Message::Hello { network: [7; 32] },
            Message::Tip { id: Id([1; 32]), work: [2; 32] },
            Message::GetBlocks { locator: ids(LOCATOR_MAX as u8) },
            Message::End,
        ] {
            let bytes = message.encode().unwrap();
            assert!(bytes.len() < frame_max());
            assert_eq!(Message::decode(&bytes).unwrap(), message);
            for end in 0..bytes.len() {
                assert!(Message::decode(&bytes[..end]).is_err(), "{end} bytes of {}", bytes.len());
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            assert!(matches!(Message::decode(&longer), Err(WireError::Trailing(1))));
        }
        let long = Message::GetBlocks { locator: ids(LOCATOR_MAX as u8 + 1) }.encode().unwrap();
        assert!(matches!(Message::decode(&long), Err(WireError::Locator(65))));
    }

    #[test]
    fn a_length_that_the_frame_has_not_is_refused() {
        // A locator of 2^32 ids in seven bytes.
        let claims = [2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(matches!(Message::decode(&claims), Err(WireError::Encoding(_))));
    }
}
