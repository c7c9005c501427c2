//! What the simulated kernel does for a step of a peer, and what the peer does by itself.

use super::super::kernel::Content;
use super::super::process::{Grace, Process};
use super::super::world::{Account, World};
use super::program::Mine;
use super::{Answer, Call, Identity, Life, Open, Peer, Way};
use session_lock::protocol::{Completion, Operation};

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl World {
    /// Whether a peer can take a step now.
    pub(in crate::model) fn may_step(&self, who: usize) -> bool {
        let peer = &self.peers[who];
        if peer.answer.is_some() {
            return true;
        }
        if peer.at == 0 && peer.rounds_left == 0 {
            return false;
        }
        if peer.life == Life::Absent {
            return true;
        }
        let mut others = (0..).zip(&self.peers).filter(|(number, _)| *number != who).map(|(_, other)| other);
        match peer.step().call {
            Call::CreateWhenFree => self.kernel.path.is_none(),
            Call::Flock => {
                let locked = peer.file.map(|file| Open { way: Way::Locked, ..file });
                !others.any(|other| other.file == locked)
            }
            Call::LockPermanent => !others.any(|other| other.guard),
            Call::Reserve => !self.peers[self.first_task(who)].remembered,
            _ => true,
        }
    }

    /// Whether it is in the middle of a round: a SIGKILL makes no difference to others.
    pub(in crate::model) fn may_be_killed(&self, who: usize) -> bool {
        !self.peers[who].is_at_rest()
    }

    /// A peer starts, takes its next step, or learns of its last one's answer.
    pub(in crate::model) fn step_peer(&mut self, who: usize) {
        let peer = &mut self.peers[who];
        if peer.life == Life::Absent {
            peer.life = Life::Running;
            return;
        }
        let step = peer.step();
        if let Some(answer) = peer.answer.take() {
            peer.go(step, answer);
        } else {
            let answer = self.call(who, step.call);
            let peer = &mut self.peers[who];
            if step.is_answered() {
                peer.answer = Some(answer);
            } else {
                peer.go(step, answer);
            }
        }
        self.end_delay(who);
    }

    /// SIGKILL: all tasks of the process are gone. Somebody who is nobody is replaced by another at once.
    pub(in crate::model) fn kill_peer(&mut self, who: usize) {
        let victim = self.peers[who].identity;
        for number in 0..self.peers.len() {
            let peer = &mut self.peers[number];
            if number != who && !peer.identity.is_process_of(victim) {
                continue;
            }
            if !peer.is_at_rest() {
                peer.next_round();
            }
            peer.remembered = false;
            if peer.identity != Identity::NOBODY {
                peer.life = Life::Absent;
                peer.identity.start += 1;
            }
            self.end_delay(number);
        }
    }

    /// The peers that a grace which begins now waits for.
    pub(in crate::model) fn delays(&self) -> Grace {
        let delaying = (0..).zip(&self.peers).filter(|(_, peer)| peer.delays_grace());
        Grace(delaying.fold(0, |peers, (number, _)| peers | 1 << number))
    }

    /// No grace waits any longer for a peer that has moved on.
    fn end_delay(&mut self, who: usize) {
        if self.peers[who].delays_grace() {
            return;
        }
        for grace in self.processes.iter_mut().filter_map(|process| process.grace.as_mut()) {
            grace.0 &= !(1 << who);
        }
    }

    /// The number of the task with which this one's process keeps its map.
    fn first_task(&self, who: usize) -> usize {
        let identity = self.peers[who].identity;
        self.peers.iter().position(|peer| peer.identity.is_process_of(identity)).unwrap_or(who)
    }

    fn call(&mut self, who: usize, call: Call) -> Answer {
        match call {
            Call::CreateWhenFree | Call::Create => return self.create(who),
            Call::OpenOrCreate => self.open_or_create(who),
            Call::OpenToRead => return self.open(who, Way::Read),
            Call::Reopen => return self.reopen(who),
            Call::Read => return self.read(who),
            Call::AskPid => return self.has_pid(who, |_, _| true).into(),
            Call::AskStart => return self.has_pid(who, |peer, read| peer.start == read.start).into(),
            Call::AskSelf(mine) => return self.is_mine(who, mine).into(),
            Call::AskMap(mine) => {
                return (self.is_mine(who, mine) && !self.peers[self.first_task(who)].remembered).into();
            }
            Call::Reserve | Call::Remember => self.set_remembered(who, true),
            Call::Forget => self.set_remembered(who, false),
            Call::Write => self.write(who),
            Call::Prepare => self.prepare(who),
            Call::Rename => self.rename(who),
            Call::CheckPath => return (self.kernel.path == self.peers[who].uses()).into(),
            Call::Flock => self.set_way(who, Way::Locked),
            Call::Funlock => self.set_way(who, Way::Write),
            Call::LockPermanent => self.peers[who].guard = true,
            Call::UnlockPermanent => self.peers[who].guard = false,
            Call::Close => self.peers[who].file = None,
            Call::Unlink => self.unlink(if self.peers[who].void { Account::Operator } else { Account::Peer }),
            Call::Evict => self.unlink(Account::Thief),
        }
        Answer::Yes
    }

    fn create(&mut self, who: usize) -> Answer {
        if self.kernel.path.is_some() {
            return Answer::No;
        }
        let slot = self.kernel.create(Content::Empty);
        self.peers[who].makes(slot, Way::Write);
        Answer::Yes
    }

    fn open_or_create(&mut self, who: usize) {
        if self.create(who) == Answer::No {
            self.open(who, Way::Write);
            let peer = &mut self.peers[who];
            peer.own = peer.uses();
            peer.void = false;
        }
    }

    fn open(&mut self, who: usize, way: Way) -> Answer {
        self.peers[who].file = self.kernel.path.map(|slot| Open { slot, way });
        self.kernel.path.is_some().into()
    }

    /// A probe that found the renamed claim closed has nothing to go by any more.
    fn reopen(&mut self, who: usize) -> Answer {
        let opened = self.open(who, Way::Write);
        let slot = self.peers[who].uses();
        let found_closed = |process: &Process| {
            let waits = process.operation() == Some(Operation::AwaitGrace);
            process.pin == slot && (waits || process.pending == Some(Completion::NoWriter))
        };
        self.peers[who].void |= slot.is_some() && self.processes.iter().any(found_closed);
        opened
    }

    fn read(&mut self, who: usize) -> Answer {
        let Some(Open { slot, .. }) = self.peers[who].file.take() else {
            unreachable!("a peer reads what it has opened")
        };
        let held = self.files().any(|file| file.slot == slot && file.locked);
        let named = match self.kernel.content(slot) {
            Content::Free | Content::Empty => None,
            Content::Named(identity) => Some(identity),
            Content::BackedBy(_) if held => Some(Identity::OURS),
            Content::Foreign | Content::BackedBy(_) => Some(Identity::NOBODY),
        };
        self.peers[who].read = named;
        named.is_some().into()
    }

    /// Whether somebody who lives in this peer's namespace has the pid that it has read, and more.
    fn has_pid(&self, who: usize, more: fn(Identity, Identity) -> bool) -> bool {
        let Peer { identity: own, read: Some(read), .. } = self.peers[who] else {
            unreachable!("a peer asks for what it has read")
        };
        if read == Identity::OURS {
            return own.namespace == read.namespace;
        }
        let there = Identity { namespace: own.namespace, ..read };
        let running = self.peers.iter().filter(|peer| peer.life == Life::Running).map(|peer| peer.identity);
        running.into_iter().any(|peer| peer.is_process_of(there) && more(peer, read))
    }

    fn is_mine(&self, who: usize, mine: Mine) -> bool {
        let Peer { identity: own, read, .. } = self.peers[who];
        read.is_some_and(|read| match mine {
            Mine::Pid => read.pid == own.pid,
            Mine::PidAndStart => (read.pid, read.start) == (own.pid, own.start),
            Mine::PidStartAndNamespace => read == own,
        })
    }

    fn set_remembered(&mut self, who: usize, remembered: bool) {
        let first = self.first_task(who);
        self.peers[first].remembered = remembered;
    }

    fn set_way(&mut self, who: usize, way: Way) {
        self.peers[who].file = self.peers[who].file.map(|file| Open { way, ..file });
    }

    fn write(&mut self, who: usize) {
        let slot = self.peers[who].uses().expect("a peer writes what it has open");
        self.kernel.write(slot, self.peers[who].payload());
    }

    fn prepare(&mut self, who: usize) {
        let slot = self.kernel.create_unnamed(self.peers[who].payload());
        self.peers[who].file = Some(Open { slot, way: Way::Aside });
    }

    fn rename(&mut self, who: usize) {
        let slot = self.peers[who].uses().expect("a peer renames what it has prepared");
        self.unlink(Account::Thief);
        self.kernel.link(slot);
        self.peers[who].makes(slot, Way::Aside);
        self.peers[who].file = None;
    }
}

impl Peer {
    /// Its claim is what the path names, from here on.
    fn makes(&mut self, slot: super::Slot, way: Way) {
        self.file = Some(Open { slot, way });
        self.own = Some(slot);
        self.void = false;
    }

    fn payload(&self) -> Content {
        if self.identity == Identity::NOBODY { Content::Foreign } else { Content::Named(self.identity) }
    }
}
