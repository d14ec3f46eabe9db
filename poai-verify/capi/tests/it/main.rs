//! The C library's functions as C calls them, its header, and what a chain computes.

mod cases;
mod chain;
mod header;
mod table;
