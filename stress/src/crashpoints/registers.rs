//! The registers of a thread that stops at a system call. All that depends on the architecture is here: where it is not
//! known, the command says so and does nothing.

#[cfg(target_arch = "x86_64")]
pub(super) use known::Registers;
#[cfg(not(target_arch = "x86_64"))]
pub(super) use unknown::Registers;

#[cfg(target_arch = "x86_64")]
mod known {
    use nix::errno::Errno;
    use nix::libc::user_regs_struct;
    use nix::sys::ptrace;
    use nix::unistd::Pid;

    /// syscall(2), "Architecture calling conventions".
    pub(in super::super) struct Registers(user_regs_struct);

    impl Registers {
        /// Whether they are known on this architecture.
        pub(in super::super) const KNOWN: bool = true;

        pub(in super::super) fn read(thread: Pid) -> nix::Result<Self> {
            ptrace::getregs(thread).map(Self)
        }

        #[expect(clippy::cast_possible_wrap, reason = "the kernel's own view of the register")]
        pub(in super::super) fn number(&self) -> i64 {
            self.0.orig_rax as i64
        }

        pub(in super::super) fn arguments(&self) -> [u64; 6] {
            let Self(at) = self;
            [at.rdi, at.rsi, at.rdx, at.r10, at.r8, at.r9]
        }

        /// Negative: an errno.
        #[expect(clippy::cast_possible_wrap, reason = "the kernel's own view of the register")]
        pub(in super::super) fn result(&self) -> i64 {
            self.0.rax as i64
        }

        /// At the entry of a call: the kernel skips it, because no call has this number.
        pub(in super::super) fn skip(mut self, thread: Pid) -> nix::Result<()> {
            self.0.orig_rax = u64::MAX;
            ptrace::setregs(thread, self.0)
        }

        /// At the exit of a call: it has failed with this.
        pub(in super::super) fn fail(mut self, thread: Pid, errno: Errno) -> nix::Result<()> {
            self.0.rax = (-i64::from(errno as i32)).cast_unsigned();
            ptrace::setregs(thread, self.0)
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod unknown {
    use nix::errno::Errno;
    use nix::unistd::Pid;

    pub(in super::super) struct Registers;

    impl Registers {
        pub(in super::super) const KNOWN: bool = false;

        pub(in super::super) fn read(_: Pid) -> nix::Result<Self> {
            Err(Errno::ENOSYS)
        }

        pub(in super::super) fn number(&self) -> i64 {
            -1
        }

        pub(in super::super) fn arguments(&self) -> [u64; 6] {
            [0; 6]
        }

        pub(in super::super) fn result(&self) -> i64 {
            -1
        }

        pub(in super::super) fn skip(self, _: Pid) -> nix::Result<()> {
            Err(Errno::ENOSYS)
        }

        pub(in super::super) fn fail(self, _: Pid, _: Errno) -> nix::Result<()> {
            Err(Errno::ENOSYS)
        }
    }
}
