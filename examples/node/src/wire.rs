//! Messages between nodes, and their largest lengths.
//!
//! A node sends its peers each new tip, and a peer with a worse tip asks for the blocks. Blocks are
//! sent only in answers, after a block that the asker named. An unrequested block, or one without a
//! known parent, is therefore the sender's fault, and not a matter of timing.
//!
//! A frame is a length in four bytes and a message in postcard's encoding. A frame that is longer
//! than any message is rejected by its length, without reading it.

use crate::block::{Block, Id};
use crate::network::RULES;
use serde::{Deserialize, Serialize};
use tokio_util::codec::LengthDelimitedCodec;

/// The largest number of ids in a locator.
pub const LOCATOR_MAX: usize = 64;
/// The largest number of blocks in the answer to one request.
pub const BLOCKS_PER_REQUEST: usize = 32;
/// The largest size of a header in postcard's encoding, a tag and the proof's
/// length.
const HEADER_MAX: u64 = 256;

/// A message between nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// The first message of each side: the digest of rules and genesis.
    Hello {
        /// The digest from [`crate::network::Network::digest`].
        network: [u8; 32],
    },
    /// The sender's best block and the work behind it. It is a claim, and
    /// causes only a request for blocks.
    Tip {
        /// The block's id.
        id: Id,
        /// The [`poai_verify::chain::Work`], the most significant byte first.
        work: [u8; 32],
    },
    /// A request for the blocks after the highest of these that is on the receiver's chain.
    ///
    /// The ids are the block at which the last answer ended, the sender's tip, then blocks at
    /// growing distances.
    GetBlocks {
        /// At most [`LOCATOR_MAX`] ids.
        locator: Vec<Id>,
    },
    /// One block of an answer.
    Block(Block),
    /// The end of an answer.
    End,
}

/// Why a frame is not a message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("not a message: {0}")]
    Encoding(#[from] postcard::Error),
    #[error("expected one message in a frame, got {0} more bytes")]
    Trailing(usize),
    #[error("expected at most {LOCATOR_MAX} ids in a locator, got {0}")]
    Locator(usize),
    #[error("the frame: {0}")]
    Frame(#[from] std::io::Error),
}

/// The largest number of bytes of a frame.
pub fn frame_max() -> usize {
    usize::try_from(RULES.proof_bytes_max() + HEADER_MAX).unwrap_or(usize::MAX)
}

/// The codec for frames of at most [`frame_max`] bytes.
pub fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(frame_max()).new_codec()
}

impl Message {
    /// The bytes of a frame.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WireError> {
        Ok(postcard::to_allocvec(self)?)
    }

    /// Reads a frame, all of which must be one message.
    pub fn from_bytes(frame: &[u8]) -> Result<Message, WireError> {
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
            prop_assert_eq!(&Message::from_bytes(&message.to_bytes().unwrap()).unwrap(), &message);
        }

        /// Altered and cut messages, and any bytes, decode to a message within the limits, or to an
        /// error.
        #[test]
        fn any_bytes_are_a_message_or_none(
            message in message(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in prop::option::of(any::<prop::sample::Index>()),
            more in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = message.to_bytes().unwrap();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Some(cut) = cut {
                bytes.truncate(cut.index(bytes.len()));
                bytes.extend(&more);
            }
            for bytes in [bytes, more] {
                let Ok(read) = Message::from_bytes(&bytes) else { continue };
                if let Message::GetBlocks { locator } = &read {
                    prop_assert!(locator.len() <= LOCATOR_MAX);
                }
                prop_assert_eq!(Message::from_bytes(&read.to_bytes().unwrap()).unwrap(), read);
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
            let bytes = message.to_bytes().unwrap();
            assert!(bytes.len() < frame_max());
            assert_eq!(Message::from_bytes(&bytes).unwrap(), message);
            for end in 0..bytes.len() {
                assert!(
                    Message::from_bytes(&bytes[..end]).is_err(),
                    "{end} bytes of {}",
                    bytes.len()
                );
            }
            let longer = [bytes.as_slice(), &[0]].concat();
            assert!(matches!(Message::from_bytes(&longer), Err(WireError::Trailing(1))));
        }
        let long = Message::GetBlocks { locator: ids(LOCATOR_MAX as u8 + 1) }.to_bytes().unwrap();
        assert!(matches!(Message::from_bytes(&long), Err(WireError::Locator(65))));
    }

    #[test]
    fn a_length_that_the_frame_has_not_is_refused() {
        // A locator of 2^32 ids in seven bytes.
        let claims = [2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(matches!(Message::from_bytes(&claims), Err(WireError::Encoding(_))));
    }
}
