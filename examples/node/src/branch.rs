//! The state of a block that is needed to check its child, and branches that a
//! peer shows before any of their blocks is kept.

use crate::block::{Header, Id};
use poai_verify::chain::Work;
use std::collections::HashSet;

/// The depth below the tip, in blocks, at which a branch counts as *light*.
///
/// A block is light if the work behind it is less than the chain's work at this depth. Light blocks
/// are not kept, unless the peer shows that the branch ends in a better tip than the chain's.
///
/// The time of 32 blocks is two half-lives of the retargeting. A miner that begins a branch within
/// them, with the latest permitted time, pays a quarter of the tip's difficulty for a block. At a
/// greater depth, the difficulty soon is the least possible.
pub const REACH: usize = 32;

/// A block that may have a child.
#[derive(Clone, Debug)]
pub struct End {
    /// Its id.
    pub id: Id,
    /// Its header.
    pub header: Header,
    /// The times of the block and its ancestors, as many as the rules count.
    pub times: Vec<u64>,
    /// The work of the block and all its ancestors.
    pub work: Work,
}

/// The largest number of blocks of a light branch that are noted, at 32 bytes each. A longer branch
/// is fetched in several parts.
const NOTED_MAX: usize = 1 << 14;

/// A light branch that a peer shows.
///
/// Long branches come from long network cuts, and the heavier must win at any length. So a peer
/// that claims a better tip sends its branch twice. The first time, the node verifies each block
/// and forgets all of it but the ids and the last header. When the blocks add up to a better tip,
/// the node may keep these blocks and no others. Kept blocks have therefore cost as much work as
/// the chain.
#[derive(Debug, Default)]
pub struct Shown {
    /// The work and the id of the best block that the peer claims to have.
    pub claim: Option<(Work, Id)>,
    /// The kept block after which the branch begins.
    start: Option<Id>,
    /// The last block of the branch.
    end: Option<End>,
    /// The first blocks of the branch.
    noted: HashSet<Id>,
    /// Whether the peer has shown a better tip than the chain's.
    enough: bool,
}

impl Shown {
    /// The end of the branch, if it is this block.
    pub fn end(&self, id: &Id) -> Option<&End> {
        self.end.as_ref().filter(|end| end.id == *id)
    }

    /// Notes a verified block that is not kept.
    ///
    /// The branch continues from this block or from a kept block. If the block would be the tip,
    /// `enough` is true, and the branch may then be kept.
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

    /// The block from which to request the shown branch again.
    pub fn start(&self) -> Option<Id> {
        self.start
    }

    /// Whether a light block may be kept.
    pub fn admits(&self, id: &Id) -> bool {
        self.enough && self.noted.contains(id)
    }
}
