//! Under the checker of `sync` a thread that waits asks again by itself.

#[derive(Debug, Default)]
pub(crate) struct Interruptible;

pub(crate) struct Waiting;

impl Interruptible {
    #[expect(clippy::unused_self, reason = "the same as the real one")]
    pub(crate) fn enter(&self, _instance: u64) -> Waiting {
        Waiting
    }

    #[expect(clippy::unused_self, reason = "the same as the real one")]
    pub(crate) fn interrupt_before(&self, _instance: u64) {}
}
