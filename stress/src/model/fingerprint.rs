//! How the search recognises a state that it has seen.
//!
//! 128 bits: with a hundred million states the chance that two of them are taken for one is below 10⁻²², and no run
//! depends on chance, since nothing here is random.

use std::hash::{Hash, Hasher};

const PRIMES: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53];

/// Marks a word as the number of an inode.
pub(super) const INODE: u64 = 0xf11e << 48;

/// What each inode is called in a fingerprint. The numbers themselves mean nothing, so states that differ only in them
/// get one fingerprint if each gives its inodes the same names.
#[derive(Clone, Copy)]
pub(super) struct Names(pub(super) [u8; 64]);

impl Names {
    /// Each is called by its number.
    pub(super) const NUMBERS: Self = {
        let mut names = [0; 64];
        let mut number = 0;
        while number < 64 {
            names[number as usize] = number;
            number += 1;
        }
        Self(names)
    };
    /// All are called the same.
    pub(super) const NONE: Self = Self([u8::MAX; 64]);
    /// None has a name yet. Whoever asks for one has a number that no file has: a bug.
    pub(super) const UNKNOWN: Self = Self([UNNAMED; 64]);
}

/// Stands for no name.
const UNNAMED: u8 = u8::MAX - 1;

/// Two independent lanes of 64 bits, each a bijection of its state for every word that goes in.
#[derive(Clone, Copy)]
struct Lanes<'a>(u64, u64, &'a Names);

/// The fingerprint of one value.
pub(super) fn of(value: &impl Hash, names: &Names) -> u128 {
    let mut lanes = Lanes(PRIMES[0], PRIMES[1], names);
    value.hash(&mut lanes);
    u128::from(finish(lanes.0)) << 64 | u128::from(finish(lanes.1))
}

/// The fingerprint of one value together with others whose order does not matter.
pub(super) fn of_symmetric<T: Hash>(value: &impl Hash, others: impl IntoIterator<Item = T>, names: &Names) -> u128 {
    // Marked, so that the value and the others cannot swap places.
    let value = of(&(u64::MAX, value), names);
    let sum = others.into_iter().map(|other| of(&other, names)).fold(value, u128::wrapping_add);
    // Once more, so that the others of two values cannot swap places.
    of(&sum, names)
}

fn finish(mut lane: u64) -> u64 {
    for prime in [PRIMES[2], PRIMES[3]] {
        lane = (lane ^ lane >> 33).wrapping_mul(prime);
    }
    lane ^ lane >> 33
}

impl Lanes<'_> {
    fn word(&mut self, word: u64) {
        let Self(first, second, names) = *self;
        let first = (first ^ word).wrapping_mul(PRIMES[2]);
        let second = second.rotate_left(29).wrapping_add(word).wrapping_mul(PRIMES[3]);
        *self = Self(first ^ first >> 32, second ^ second >> 29, names);
    }
}

impl Hasher for Lanes<'_> {
    fn finish(&self) -> u64 {
        finish(self.0 ^ self.1)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.word(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.word(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.word(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let number = usize::try_from(value ^ INODE).unwrap_or(usize::MAX);
        let Some(name) = self.2.0.get(number) else { return self.word(value) };
        assert_ne!(*name, UNNAMED, "whoever remembers an inode's number keeps the number from reuse");
        self.word(INODE | u64::from(*name));
    }

    fn write_u128(&mut self, value: u128) {
        let [low, high] = [value & u128::from(u64::MAX), value >> 64];
        self.word(u64::try_from(low).unwrap_or_default());
        self.word(u64::try_from(high).unwrap_or_default());
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::{INODE, Names, of_symmetric};
    use std::hash::Hash;

    fn of(value: &impl Hash) -> u128 {
        super::of(value, &Names::NUMBERS)
    }

    fn symmetric(value: u8, others: &[u8]) -> u128 {
        of_symmetric(&value, others, &Names::NUMBERS)
    }

    #[test]
    fn order_counts_only_where_it_should() {
        assert_ne!(of(&(1u8, 2u8)), of(&(2u8, 1u8)));
        assert_eq!(symmetric(0, &[1, 2]), symmetric(0, &[2, 1]));
        assert_ne!(symmetric(0, &[1, 2]), symmetric(0, &[1, 1]));
        assert_ne!(symmetric(0, &[1]), symmetric(1, &[0]));
    }

    #[test]
    fn inodes_are_told_apart_by_their_names_only() {
        let pair = |one: u64, other: u64| (INODE | one, 3u64, INODE | other);
        assert_ne!(of(&pair(1, 2)), of(&pair(2, 1)));
        let mut swapped = Names::NUMBERS;
        swapped.0.swap(1, 2);
        assert_eq!(of(&pair(1, 2)), super::of(&pair(2, 1), &swapped));
        assert_eq!(super::of(&pair(1, 2), &Names::NONE), super::of(&pair(4, 5), &Names::NONE));
    }

    #[test]
    #[should_panic(expected = "keeps the number from reuse")]
    fn an_inode_without_a_name_is_a_bug() {
        let mut names = Names::UNKNOWN;
        names.0[1] = 0;
        super::of(&(INODE | 1), &names);
        super::of(&(INODE | 2), &names);
    }

    #[test]
    fn small_values_do_not_collide() {
        let all: std::collections::HashSet<u128> =
            (0..64u8).flat_map(|a| (0..64u8).map(move |b| of(&(a, b, Some(a))))).collect();
        assert_eq!(all.len(), 64 * 64);
    }
}
