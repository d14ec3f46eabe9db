//! The facade and the glossary.

mod names;
