//! Tests the C library's functions as C calls them, its header, and its chain functions.

mod cases;
mod chain;
mod header;
mod table;
