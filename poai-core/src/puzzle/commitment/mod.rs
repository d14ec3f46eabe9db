//! Commitments to operands by plain BLAKE3, and openings of strips (spec §3).
//!
//! Openings use BLAKE3's own tree.
//!
//! - [`strip`]: the place of a strip in the tree: its chunks, and the bytes and
//!   siblings of its opening.
//! - [`chunks`]: the same for columns of rows.
//! - [`opening`]: the opening and its check against a root.
//! - [`tree`]: the cached tree of one matrix: its root, and openings without
//!   hashing the matrix again.

pub mod chunks;
pub mod opening;
pub mod strip;
pub mod tree;

pub use chunks::Chunks;
pub use opening::{Opening, OpeningView};
pub use strip::Strip;
pub use tree::Tree;
