//! Fencing tokens: they grow from one acquisition of a lock to the next, while the state directory lives.
//!
//! A deletion of the state directory begins a new **series** for each lock, at its *strike*. A token has to be larger
//! than the last one of a series that its acquisition may belong to:
//!
//! - the newest always;
//! - an earlier one if the acquisition began before that series' successor was certain, which is at the deletion's
//!   *relieve*: by then the old directory is gone. An acquisition begins at the last record that its worker wrote before.
//!
//! Of several that fit, it belongs to the one whose last token is largest, so that one fall for each deletion is all
//! that is ever allowed, in whatever order old and new tokens arrive.

use std::collections::VecDeque;

/// So many series are known of each lock: more deletions than any acquisition outlasts.
const KNOWN: usize = 64;

/// The tokens of one lock.
#[derive(Debug, Clone, Default)]
pub(super) struct Series {
    last: u64,
    /// Those before, the newest at the end.
    earlier: VecDeque<Earlier>,
}

#[derive(Debug, Clone, Copy)]
struct Earlier {
    last: u64,
    /// The place of the *relieve* of the deletion that ended it.
    over: Option<u64>,
}

impl Series {
    /// The state directory is about to be deleted.
    pub(super) fn strike(&mut self) {
        if self.earlier.len() == KNOWN {
            self.earlier.pop_front();
        }
        self.earlier.push_back(Earlier { last: self.last, over: None });
        self.last = 0;
    }

    /// It is gone.
    pub(super) fn relieve(&mut self, place: u64) {
        for earlier in &mut self.earlier {
            earlier.over.get_or_insert(place);
        }
    }

    /// Whether there was no token in any of them.
    pub(super) fn is_empty(&self) -> bool {
        self.last == 0 && self.earlier.iter().all(|earlier| earlier.last == 0)
    }

    /// Takes the token of an acquisition that began after this place. If it is not larger: than which.
    pub(super) fn take(&mut self, token: u64, began: u64) -> Result<(), u64> {
        let open = |earlier: &&mut Earlier| earlier.over.is_none_or(|over| began < over);
        let lasts = self.earlier.iter_mut().filter(open).map(|earlier| &mut earlier.last);
        let fitting = lasts.chain([&mut self.last]).filter(|last| **last < token).max_by_key(|last| **last);
        match fitting {
            Some(last) => {
                *last = token;
                Ok(())
            }
            None => Err(self.last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_fall_for_each_deletion() {
        let mut series = Series::default();
        assert_eq!(series.take(5, 0), Ok(()));
        assert_eq!(series.take(5, 1), Err(5));
        series.strike();
        series.relieve(10);
        assert_eq!(series.take(1, 11), Ok(()), "begun after the deletion");
        assert_eq!(series.take(6, 9), Ok(()), "begun before it: from the old directory");
        assert_eq!(series.take(2, 12), Ok(()));
        assert_eq!(series.take(2, 13), Err(2));
        assert_eq!(series.take(7, 9), Ok(()));
        assert_eq!(series.take(7, 9), Ok(()), "or from the new one");
        assert_eq!(series.take(7, 9), Err(7));
    }

    #[test]
    fn before_the_directory_is_gone_a_token_may_be_of_either() {
        let mut series = Series::default();
        assert_eq!(series.take(5, 0), Ok(()));
        series.strike();
        assert_eq!(series.take(6, 3), Ok(()));
        assert_eq!(series.take(1, 4), Ok(()));
        assert_eq!(series.take(1, 5), Err(1));
    }

    #[test]
    fn no_more_series_than_are_known_are_kept() {
        let mut series = Series::default();
        for place in 0..10 * KNOWN as u64 {
            series.strike();
            series.relieve(place);
        }
        assert_eq!(series.earlier.len(), KNOWN);
    }
}
