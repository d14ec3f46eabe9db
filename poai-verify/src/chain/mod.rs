//! What a chain computes around proofs, in integers only (spec §17, §18).
//!
//! - [`base_target`]: a difficulty as the 256-bit target of one MAC.
//! - [`compact`]: a difficulty in the four bytes that a header has for it.
//! - [`work`]: the sum of the difficulties of a whole branch.
//! - [`asert`]: the next block's target, from the schedule of an anchor.
//! - [`times`]: which times a block may state.
//! - [`profile`]: the constants of a chain; [`Profile::EAI`] has EthereumAI's.
//! - [`income`]: what a block pays its miner, and an account of it.
//!
//! Nothing in this module reads a clock, and no input makes it panic.

pub mod asert;
pub mod base_target;
pub mod compact;
pub mod income;
pub mod profile;
pub mod times;
pub mod work;

pub use asert::{Anchor, Asert, AsertError};
pub use base_target::{BaseTarget, BaseTargetError};
pub use compact::{CompactDifficulty, CompactError};
pub use income::{Account, Income, IncomeError};
pub use profile::Profile;
pub use times::{TimeError, TimeRules, median_time_past};
pub use work::Work;
