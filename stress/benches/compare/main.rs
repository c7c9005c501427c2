//! The lock side by side with the bare system calls and its peers.

mod report;

fn main() {}
