//! Commitment to operands by plain BLAKE3, and openings of strips out of
//! BLAKE3's own tree (spec §3).
//!
//! - [`strip`]: where a strip lies in the tree: its chunks, how many bytes and
//!   siblings its opening has.
//! - [`opening`]: the opening and its check against a root.
//! - [`tree`]: the cached tree of one matrix: its root, and openings without
//!   hashing the matrix again.

pub mod opening;
pub mod strip;
pub mod tree;

pub use opening::{Opening, OpeningView};
pub use strip::Strip;
pub use tree::Tree;
