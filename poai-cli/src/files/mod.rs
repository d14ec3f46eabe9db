//! Files: bounded reads, and writes that are whole or not at all.

mod destination;
mod folder;
mod place;
mod read;

pub use destination::Destination;
pub use folder::{NewFolder, check_folder};
pub use place::cannot_write;
pub use read::{FILE_MAX, Start, cannot_read, read, regular_len};
