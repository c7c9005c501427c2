//! What proves the lock, apart from the lock: faults, histories, oracles and an exhaustive search.

pub mod model;
