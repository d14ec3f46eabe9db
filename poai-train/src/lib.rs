//! Verified training: exact integer iterations as programs with state (spec §12,
//! steps of training).
