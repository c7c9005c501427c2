//! How the search recognises a state that it has seen.
//!
//! 128 bits: with a hundred million states the chance that two of them are taken for one is below 10⁻²², and no run
//! depends on chance, since nothing here is random.

use std::hash::{Hash, Hasher};

const PRIMES: [u64; 4] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53];

/// Two independent lanes of 64 bits, each a bijection of its state for every word that goes in.
#[derive(Clone, Copy)]
struct Lanes(u64, u64);

/// The fingerprint of one value.
pub(super) fn of(value: &impl Hash) -> u128 {
    let mut lanes = Lanes(PRIMES[0], PRIMES[1]);
    value.hash(&mut lanes);
    u128::from(finish(lanes.0)) << 64 | u128::from(finish(lanes.1))
}

/// The fingerprint of one value together with others whose order does not matter.
pub(super) fn of_symmetric<T: Hash>(value: &impl Hash, others: &[T]) -> u128 {
    // Marked, so that the value and the others cannot swap places.
    others.iter().map(of).fold(of(&(u64::MAX, value)), u128::wrapping_add)
}

fn finish(mut lane: u64) -> u64 {
    for prime in [PRIMES[2], PRIMES[3]] {
        lane = (lane ^ lane >> 33).wrapping_mul(prime);
    }
    lane ^ lane >> 33
}

impl Lanes {
    fn word(&mut self, word: u64) {
        let Self(first, second) = *self;
        let first = (first ^ word).wrapping_mul(PRIMES[2]);
        let second = second.rotate_left(29).wrapping_add(word).wrapping_mul(PRIMES[3]);
        *self = Self(first ^ first >> 32, second ^ second >> 29);
    }
}

impl Hasher for Lanes {
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
        self.word(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.word(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::{of, of_symmetric};

    #[test]
    fn order_counts_only_where_it_should() {
        assert_ne!(of(&(1u8, 2u8)), of(&(2u8, 1u8)));
        assert_eq!(of_symmetric(&0u8, &[1u8, 2]), of_symmetric(&0u8, &[2u8, 1]));
        assert_ne!(of_symmetric(&0u8, &[1u8, 2]), of_symmetric(&0u8, &[1u8, 1]));
        assert_ne!(of_symmetric(&0u8, &[1u8]), of_symmetric(&1u8, &[0u8]));
    }

    #[test]
    fn small_values_do_not_collide() {
        let all: std::collections::HashSet<u128> =
            (0..64u8).flat_map(|a| (0..64u8).map(move |b| of(&(a, b, Some(a))))).collect();
        assert_eq!(all.len(), 64 * 64);
    }
}
