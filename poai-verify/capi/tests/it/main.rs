//! The C library's functions as C calls them, its header, and difficulty adjustment.

mod cases;
mod chain;
mod header;
