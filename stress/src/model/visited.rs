//! What a search remembers of the states that it has reached: a fingerprint, a parent, and where one can go from there.
//!
//! | Per state | Bytes |
//! |---|---|
//! | fingerprint | 16 |
//! | parent | 4 |
//! | place in the table | 4 for each bucket, of which at most two thirds are taken |
//! | ways on | 4 for each, without faults |
//!
//! A state is its number: the first is 0, and they are numbered in the order in which they are reached.

use super::finish::Graph;

/// A bucket of the table that is free.
const FREE: u32 = u32::MAX;

/// The states that a search has reached.
pub(super) struct Visited {
    fingerprints: Vec<u128>,
    parents: Vec<u32>,
    /// The numbers of the states, at a place that the fingerprint says. A power of two.
    table: Vec<u32>,
    pub(super) graph: Graph,
}

/// What became of a state that a search has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inserted {
    New(u32),
    Known(u32),
}

impl Inserted {
    pub(super) fn number(self) -> u32 {
        match self {
            Self::New(number) | Self::Known(number) => number,
        }
    }
}

impl Visited {
    pub(super) fn new() -> Self {
        Self { fingerprints: Vec::new(), parents: Vec::new(), table: vec![FREE; 1 << 10], graph: Graph::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.fingerprints.len()
    }

    /// The memory that it takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.fingerprints.capacity() * 16 + self.parents.capacity() * 4 + self.table.capacity() * 4 + self.graph.bytes()
    }

    pub(super) fn parent(&self, number: u32) -> u32 {
        self.parents[number as usize]
    }

    pub(super) fn fingerprint(&self, number: u32) -> u128 {
        self.fingerprints[number as usize]
    }

    /// The number of the state with this fingerprint, a new one if it is new.
    ///
    /// # Panics
    ///
    /// With more states than a number has bits for; a bound on memory comes before that.
    pub(super) fn insert(&mut self, fingerprint: u128, parent: u32) -> Inserted {
        if (self.len() + 1) * 3 > self.table.len() * 2 {
            self.grow();
        }
        let mut place = self.place(fingerprint);
        loop {
            match self.table[place] {
                FREE => break,
                number if self.fingerprints[number as usize] == fingerprint => return Inserted::Known(number),
                _ => place = (place + 1) & (self.table.len() - 1),
            }
        }
        let number = u32::try_from(self.len()).expect("there is no memory for so many states");
        self.table[place] = number;
        self.fingerprints.push(fingerprint);
        self.parents.push(parent);
        Inserted::New(number)
    }

    fn place(&self, fingerprint: u128) -> usize {
        let mask = self.table.len() as u128 - 1;
        usize::try_from(fingerprint & mask).expect("a place is a place in memory")
    }

    fn grow(&mut self) {
        self.table = vec![FREE; self.table.len() * 2];
        let mask = self.table.len() - 1;
        for (number, fingerprint) in (0..).zip(&self.fingerprints) {
            let mut place = self.place(*fingerprint);
            while self.table[place] != FREE {
                place = (place + 1) & mask;
            }
            self.table[place] = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Inserted, Visited};

    #[test]
    fn a_fingerprint_keeps_its_number() {
        let mut visited = Visited::new();
        let fingerprints: Vec<u128> =
            (0..5_000u128).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).collect();
        for (number, fingerprint) in (0..).zip(&fingerprints) {
            assert_eq!(visited.insert(*fingerprint, 0), Inserted::New(number));
        }
        for (number, fingerprint) in (0..).zip(&fingerprints) {
            assert_eq!(visited.insert(*fingerprint, 7), Inserted::Known(number));
            assert_eq!(visited.fingerprint(number), *fingerprint);
        }
        assert_eq!(visited.len(), fingerprints.len());
    }
}
