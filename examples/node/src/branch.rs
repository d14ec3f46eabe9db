//! What has to be known of a block to check its child, and branches that a peer
//! shows before anything of them is kept.

use crate::block::{Header, Id};
use poai_verify::chain::Work;

/// How far below the tip, in blocks, a branch may have its work: with less than
/// the chain had there, its blocks are *light*. They are not kept and not relayed
/// unless the peer shows that the branch ends in more work than the chain has.
///
/// 32 blocks' time is two half-lives of the retargeting, so whoever begins a
/// branch within them and takes the latest time there is pays a quarter of the
/// tip's difficulty for a block. Farther down it soon is the least that any has.
pub const REACH: usize = 32;

/// A block that another may follow.
#[derive(Clone, Debug)]
pub struct End {
    /// Its id.
    pub id: Id,
    /// Its header.
    pub header: Header,
    /// Its time and its ancestors', as many as the rules count.
    pub times: Vec<u64>,
    /// Of the block and all its ancestors.
    pub work: Work,
}

/// What a peer shows of a light branch.
///
/// Long branches come from long cuts, and the heavier must win whatever its
/// length. So a peer that claims more work than the chain has is heard twice: the
/// first time each block is verified and forgotten, but for the last one's
/// header; once they add up to more than the chain, as many light blocks as were
/// shown may be kept. What is kept for nothing has cost more work than the chain.
#[derive(Debug, Default)]
pub struct Shown {
    /// The work that it claims its best block has.
    pub claim: Work,
    /// The last block of the branch, and how many there were.
    end: Option<(End, u64)>,
    /// Light blocks that it may have kept.
    credit: u64,
}

impl Shown {
    /// The end of the branch, if it is this block.
    pub fn end(&self, id: &Id) -> Option<&End> {
        self.end.as_ref().map(|(end, _)| end).filter(|end| end.id == *id)
    }

    /// Notes a verified block that is not kept; whether its branch, which goes on
    /// from here or from a block that is kept, has more work than `best`.
    pub fn extend(&mut self, end: End, best: Work) -> bool {
        let before = self.end.take().filter(|(before, _)| before.id == end.header.parent);
        let length = before.map_or(0, |(_, length)| length) + 1;
        let enough = end.work > best;
        if enough {
            self.credit = length;
        }
        self.end = Some((end, length));
        enough
    }

    /// Whether a light block may be kept.
    pub fn has_credit(&self) -> bool {
        self.credit > 0
    }

    /// Counts a light block that is kept.
    pub fn spend(&mut self) {
        self.credit = self.credit.saturating_sub(1);
    }
}
