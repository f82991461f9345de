//! A fence of which one side pays for both.
//!
//! Where two threads each write one thing and then read the other's, both need a sequentially consistent fence in between,
//! or neither may see what the other wrote. If one side comes a million times as often as the other, that one can leave its
//! fence out, and the other has the operating system make every running thread of the process go through one: Linux'
//! `membarrier`. Elsewhere both have a fence.

pub(crate) use imp::{has_heavy, heavy};

#[cfg(all(target_os = "linux", not(miri), not(all(test, loom))))]
mod imp {
    use std::sync::OnceLock;

    fn call(command: libc::c_int) -> bool {
        // SAFETY: the call reads and writes no memory of the program.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
    }

    /// Whether [`heavy`] is a fence of other threads too. It is the same for the life of the process.
    pub(crate) fn has_heavy() -> bool {
        static REGISTERED: OnceLock<bool> = OnceLock::new();
        *REGISTERED.get_or_init(|| call(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED))
    }

    /// A fence of this thread, and of every other, at some time during the call; where `has_heavy` says so.
    pub(crate) fn heavy() {
        if has_heavy() {
            assert!(call(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED), "membarrier was registered");
        }
    }
}

#[cfg(not(all(target_os = "linux", not(miri), not(all(test, loom)))))]
mod imp {
    /// Whether [`heavy`] is a fence of other threads too.
    pub(crate) fn has_heavy() -> bool {
        false
    }

    /// Nothing: who would be spared a fence has one.
    pub(crate) fn heavy() {}
}
