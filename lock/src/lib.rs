//! A cross-process lock for session files.

pub mod protocol;
