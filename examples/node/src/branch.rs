//! What has to be known of a block to check its child, and branches that a peer
//! shows before anything of them is kept.

use crate::block::{Header, Id};
use poai_verify::chain::Work;
use std::collections::HashSet;

/// How far below the tip, in blocks, a branch may have its work: with less than
/// the chain had there, its blocks are *light*, and not kept unless the peer shows
/// that the branch ends in a better tip than the chain's.
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

/// Blocks of a light branch that are noted at most, 32 bytes each; longer ones are
/// got in several goes.
const NOTED_MAX: usize = 1 << 14;

/// What a peer shows of a light branch.
///
/// Long branches come from long cuts, and the heavier must win whatever its
/// length. So a peer that claims a better tip is heard twice: the first time each
/// block is verified and forgotten, but for its id and the last one's header; once
/// they add up to a better tip, those blocks and no others may be kept. So what is
/// kept has cost as much work as the chain.
#[derive(Debug, Default)]
pub struct Shown {
    /// The work and the id of the best block that it claims to have.
    pub claim: Option<(Work, Id)>,
    /// The kept block on which the branch begins.
    start: Option<Id>,
    /// The last block of the branch.
    end: Option<End>,
    /// The first blocks of the branch.
    noted: HashSet<Id>,
    /// Whether it has shown a better tip than the chain's.
    enough: bool,
}

impl Shown {
    /// The end of the branch, if it is this block.
    pub fn end(&self, id: &Id) -> Option<&End> {
        self.end.as_ref().filter(|end| end.id == *id)
    }

    /// Notes a verified block that is not kept; its branch goes on from here or from
    /// a block that is kept. `enough` if it would be the tip: the branch may then be
    /// kept.
    pub fn extend(&mut self, end: End, enough: bool) {
        if self.end(&end.header.parent).is_none() {
            (self.noted, self.enough) = (HashSet::new(), false);
            self.start = Some(end.header.parent);
        }
        if self.noted.len() < NOTED_MAX {
            self.noted.insert(end.id);
        }
        self.enough |= enough;
        self.end = Some(end);
    }

    /// Where to ask again for the branch that was shown.
    pub fn start(&self) -> Option<Id> {
        self.start
    }

    /// Whether a light block may be kept.
    pub fn admits(&self, id: &Id) -> bool {
        self.enough && self.noted.contains(id)
    }
}
