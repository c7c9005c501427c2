//! What follows from a claim and from evidence: against the documented rules one by one, and against worlds in which it is known
//! who lives.

use arbitrary::{Arbitrary, Result, Unstructured};
use session_lock::payload::{Content, FORMAT, Payload};
use session_lock::protocol::{Completion, Standing};
use session_lock::verdict::{self, Asker, OwnerProcess, Probe, Reason};

use crate::payload_roundtrip;

/// Runs the target on one input.
///
/// # Panics
///
/// On a finding.
pub fn run(bytes: &[u8]) {
    let mut choices = Unstructured::new(bytes);
    if let Ok(case) = Case::choose(&mut choices) {
        case.check_writers();
        case.check_reason();
        case.check_standing();
    }
    if let Ok(world) = World::arbitrary(&mut choices) {
        world.check();
    }
}

/// Any claim with any evidence.
struct Case {
    content: Content,
    asker: Asker,
    owner: OwnerProcess,
    probe: Probe,
    standing: Standing,
}

impl Case {
    fn choose(choices: &mut Unstructured<'_>) -> Result<Self> {
        let payload = payload_roundtrip::payload(choices)?;
        // Mostly equal to what the claim says: two random numbers never are.
        let mut same = || choices.int_in_range(0..=3_u8).map(|choice| choice > 0);
        let asker = Asker {
            pid: if same()? { payload.pid.unwrap_or(1) } else { 7 },
            starttime: if same()? { payload.starttime } else { Some(77) },
            nonce: if same()? { payload.nonce.unwrap_or_default() } else { [7; 16] },
            boot_id: if same()? { payload.boot_id.unwrap_or_default() } else { [8; 16] },
            pid_ns: if same()? { payload.pid_ns } else { Some(7) },
            time_ns: if same()? { payload.time_ns } else { None },
        };
        let content = match choices.int_in_range(0..=9_u8)? {
            0 => Content::Empty,
            1 => Content::Torn,
            2 => Content::NotAClaim,
            _ => Content::Claim(Box::new(payload)),
        };
        let owners = [OwnerProcess::Gone, OwnerProcess::Another, OwnerProcess::Present, OwnerProcess::Unknown];
        Ok(Self {
            content,
            asker,
            owner: *choices.choose(&owners)?,
            probe: *choices.choose(&[Probe::Unavailable, Probe::Writer, Probe::NoWriter])?,
            standing: *choices.choose(&[Standing::Foreign, Standing::OwnArbiter])?,
        })
    }

    /// The kernel's answer is the answer. Without it: unknown, unless the claim says where its pid means something, that is
    /// here, it is another process's than the asker's, and that process is gone.
    fn check_writers(&self) {
        let Self { content, asker, owner, probe, .. } = self;
        let found = verdict::writers(*probe, content, asker, *owner);
        let means_something_here = content.payload().is_some_and(|payload| {
            [payload.boot_id == Some(asker.boot_id), payload.pid_ns.is_some(), payload.time_ns.is_some()] == [true; 3]
                && (payload.pid_ns, payload.time_ns) == (asker.pid_ns, asker.time_ns)
        });
        let pid = content.payload().and_then(|payload| payload.pid);
        let is_gone = [OwnerProcess::Gone, OwnerProcess::Another].contains(owner);
        let expected = match probe {
            Probe::Writer => Completion::Writer,
            Probe::NoWriter => Completion::NoWriter,
            Probe::Unavailable => match pid {
                Some(pid) if pid != asker.pid && is_gone && means_something_here => Completion::NoWriter,
                _ => Completion::Unknown,
            },
        };
        assert_eq!(found, expected, "{content:?} {asker:?} {owner:?} {probe:?}");
    }

    fn check_reason(&self) {
        let Self { content, asker, owner, standing, .. } = self;
        let found = verdict::reason(*standing, content, asker, *owner);
        assert!(self.is_reason(found), "{found:?} {standing:?} {content:?} {asker:?} {owner:?}");
        let (name, words) = (found.as_str(), found.to_string());
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "a label: {name}");
        assert!(words.chars().all(|c| c.is_ascii_lowercase() || " ,".contains(c)), "words for people: {words}");
    }

    /// What each reason says. No two of them are true of one case.
    fn is_reason(&self, reason: Reason) -> bool {
        let is_foreign = self.standing == Standing::Foreign;
        let payload = self.content.payload();
        let pid = payload.and_then(|payload| payload.pid);
        let has_pid_of_this_boot = is_foreign
            && pid.is_some()
            && payload.and_then(|payload| payload.boot_id).is_none_or(|boot| boot == self.asker.boot_id);
        let is_own_pid = has_pid_of_this_boot && pid == Some(self.asker.pid);
        let is_another_pid = has_pid_of_this_boot && !is_own_pid;
        let starttimes = payload.and_then(|payload| payload.starttime).zip(self.asker.starttime);
        let other_start = starttimes.is_some_and(|(theirs, ours)| theirs != ours);
        let other_nonce = payload.and_then(|payload| payload.nonce).is_some_and(|nonce| nonce != self.asker.nonce);
        match reason {
            Reason::OwnerExited => !is_foreign,
            Reason::EmptyPayload => is_foreign && self.content == Content::Empty,
            Reason::TornPayload => is_foreign && matches!(self.content, Content::Torn | Content::NotAClaim),
            Reason::MissingPid => is_foreign && payload.is_some() && pid.is_none(),
            Reason::Rebooted => is_foreign && pid.is_some() && !has_pid_of_this_boot,
            Reason::NonceMismatch => is_own_pid && !other_start && other_nonce,
            Reason::OrphanSelfPid => is_own_pid && !other_start && !other_nonce,
            Reason::RecycledPid => is_own_pid && other_start || is_another_pid && self.owner == OwnerProcess::Another,
            Reason::DeadPid => is_another_pid && self.owner == OwnerProcess::Gone,
            Reason::Abandoned => is_another_pid && matches!(self.owner, OwnerProcess::Present | OwnerProcess::Unknown),
        }
    }

    /// A claim is backed by an arbiter only if it names that arbiter, this boot and this format.
    fn check_standing(&self) {
        let Some(payload) = self.content.payload() else { return };
        let names_all = payload.version == Some(FORMAT) && payload.boot_id == Some(self.asker.boot_id);
        assert_eq!(self.content.is_ours(), payload.version == Some(2) && payload.arbiter.is_some());
        if let Some(arbiter) = payload.arbiter {
            let backed = |arbiter| self.content.standing(&arbiter, &self.asker.boot_id) == Standing::OwnArbiter;
            assert_eq!(backed(arbiter), names_all);
            let mut other = arbiter;
            other.inode.ino ^= 1;
            assert!(!backed(other), "another inode is another arbiter");
            let mut other = arbiter;
            other.nonce[15] ^= 1;
            assert!(!backed(other), "a reused inode is another arbiter");
        }
    }
}

/// An owner that may live, and an asker that looks at it. What the asker sees follows.
#[derive(Arbitrary, Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own, in any combination")]
struct World {
    owner_lives: bool,
    same_pid_ns: bool,
    same_time_ns: bool,
    same_pid: bool,
    /// The owner is an older peer, whose payload names neither boot nor namespaces.
    older: bool,
    /// The owner did not know its own namespaces.
    nameless: bool,
    rebooted: bool,
    /// /proc is of another PID namespace than the asker's.
    foreign_proc: bool,
    /// /proc hides other users' processes.
    hidden: bool,
    probe_denied: bool,
    /// The process that has the owner's pid where the asker looks, if that is not the owner: its start time.
    stranger: Option<u8>,
    starttime: u8,
    time_shift: u8,
}

impl World {
    fn check(self) {
        // Nobody outlives a reboot.
        let owner_lives = self.owner_lives && !self.rebooted;
        let asker = Asker {
            pid: if self.same_pid { 42 } else { 43 },
            starttime: Some(1_000),
            nonce: [1; 16],
            boot_id: [1; 16],
            pid_ns: Some(1),
            time_ns: Some(1),
        };
        if self.same_pid && self.same_pid_ns && owner_lives {
            // It is the asker itself, whose own claims are another matter.
            return;
        }
        let content = Content::Claim(Box::new(self.payload()));
        let probe = match (self.probe_denied, owner_lives) {
            (true, _) => Probe::Unavailable,
            (false, true) => Probe::Writer,
            (false, false) => Probe::NoWriter,
        };
        let found = verdict::writers(probe, &content, &asker, self.owner_process(owner_lives, &asker));
        if owner_lives {
            assert_ne!(found, Completion::NoWriter, "a living owner is robbed: {self:?}");
        } else {
            assert_ne!(found, Completion::Writer, "a dead owner writes: {self:?}");
        }
        if self.probe_denied && (self.older || self.nameless) {
            assert_eq!(found, Completion::Unknown, "nothing says where its pid means something: {self:?}");
        }
    }

    fn payload(self) -> Payload {
        let namespace = |same: bool| if self.nameless { None } else { Some(if same { 1 } else { 2 }) };
        let older = Payload { pid: Some(42), starttime: Some(u64::from(self.starttime)), ..Payload::default() };
        if self.older {
            return older;
        }
        Payload {
            version: Some(2),
            nonce: Some([2; 16]),
            boot_id: Some(if self.rebooted { [2; 16] } else { [1; 16] }),
            pid_ns: namespace(self.same_pid_ns),
            time_ns: namespace(self.same_time_ns),
            ..older
        }
    }

    /// What the kernel and /proc say of pid 42 where the asker is.
    fn owner_process(self, owner_lives: bool, asker: &Asker) -> OwnerProcess {
        let shift = if self.same_time_ns { 0 } else { u64::from(self.time_shift) };
        let seen = if self.same_pid {
            asker.starttime
        } else if self.same_pid_ns && owner_lives {
            Some(u64::from(self.starttime) + shift)
        } else {
            self.stranger.map(u64::from)
        };
        match seen {
            None => OwnerProcess::Gone,
            Some(_) if self.foreign_proc => OwnerProcess::Unknown,
            Some(seen) if !self.hidden && seen != u64::from(self.starttime) => OwnerProcess::Another,
            Some(_) => OwnerProcess::Present,
        }
    }
}
