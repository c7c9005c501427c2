//! Whether everybody can still finish: a pass over the ways on of all states, back from those in which everybody has.
//!
//! The ways on are one list, in the order of the states that they lead from; a bit marks the first of each state. So the
//! pass reads memory in order, from the last state to the first, until nothing changes any more.

/// Marks the first way on of a state.
const FIRST: u32 = 1 << 31;
/// Stands for no way on.
const NOWHERE: u32 = FIRST - 1;

/// Where one can go without a fault, state by state, and which states are final.
#[derive(Default)]
pub(super) struct Graph {
    ways: Vec<u32>,
    finals: Vec<u64>,
}

impl Graph {
    /// The most states that it has numbers for.
    pub(super) const MAX_STATES: usize = NOWHERE as usize;

    /// Adds where the next state leads, by their numbers. Clears the list.
    pub(super) fn push(&mut self, ways: &mut Vec<u32>) {
        ways.sort_unstable();
        ways.dedup();
        match ways.split_first() {
            None => self.ways.push(NOWHERE | FIRST),
            Some((first, others)) => {
                self.ways.push(first | FIRST);
                self.ways.extend_from_slice(others);
            }
        }
        ways.clear();
    }

    /// Everybody has finished in this state.
    pub(super) fn mark_final(&mut self, number: u32) {
        set(&mut self.finals, number);
    }

    /// The memory that it takes, in bytes, with what [`stuck`](Self::stuck) needs.
    pub(super) fn bytes(&self) -> usize {
        self.ways.capacity() * 4 + self.finals.capacity() * 16
    }

    /// The first state from which no way leads to a final one.
    pub(super) fn stuck(mut self, states: usize) -> Option<u32> {
        let mut finishing = std::mem::take(&mut self.finals);
        finishing.resize(states.div_ceil(64), 0);
        while self.pass(states, &mut finishing) == Changed::Yes {}
        (0..).take(states).find(|number| !contains(&finishing, *number))
    }

    fn pass(&self, states: usize, finishing: &mut [u64]) -> Changed {
        let mut changed = Changed::No;
        let mut finishes = false;
        let mut number = u32::try_from(states).expect("a state has a number");
        for way in self.ways.iter().rev() {
            let to = way & !FIRST;
            finishes |= to != NOWHERE && contains(finishing, to);
            if way & FIRST != 0 {
                number -= 1;
                if finishes && !contains(finishing, number) {
                    finishing[number as usize / 64] |= 1 << (number % 64);
                    changed = Changed::Yes;
                }
                finishes = false;
            }
        }
        changed
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    Yes,
    No,
}

fn contains(bits: &[u64], number: u32) -> bool {
    bits.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 != 0)
}

fn set(bits: &mut Vec<u64>, number: u32) {
    let word = number as usize / 64;
    if bits.len() <= word {
        bits.resize(word + 1, 0);
    }
    bits[word] |= 1 << (number % 64);
}

#[cfg(test)]
mod tests {
    use super::Graph;

    fn graph(ways: &[&[u32]], finals: &[u32]) -> Graph {
        let mut graph = Graph::default();
        for ways in ways {
            graph.push(&mut ways.to_vec());
        }
        for number in finals {
            graph.mark_final(*number);
        }
        graph
    }

    #[test]
    fn a_state_that_leads_nowhere_is_stuck_unless_it_is_final() {
        assert_eq!(graph(&[&[1], &[]], &[1]).stuck(2), None);
        assert_eq!(graph(&[&[1, 2], &[], &[]], &[1]).stuck(3), Some(2));
    }

    /// 1 and 2 lead to each other for ever.
    #[test]
    fn states_that_lead_only_to_one_another_are_stuck() {
        assert_eq!(graph(&[&[1, 3], &[2], &[1], &[]], &[3]).stuck(4), Some(1));
    }

    #[test]
    fn the_way_back_can_lead_through_smaller_numbers() {
        assert_eq!(graph(&[&[1], &[2], &[3], &[0, 4], &[]], &[4]).stuck(5), None);
        let mut ways: Vec<Vec<u32>> = (0..200).map(|number: u32| vec![number.saturating_sub(1)]).collect();
        ways[0] = vec![199];
        let ways: Vec<&[u32]> = ways.iter().map(Vec::as_slice).collect();
        assert_eq!(graph(&ways, &[70]).stuck(200), None);
        assert_eq!(graph(&ways, &[]).stuck(200), Some(0));
    }
}
