//! Whether this process is a forked child, known without a system call for each object that is given up.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

static FORKS: AtomicU32 = AtomicU32::new(0);

/// How often this process and those that it descends from forked into it, since the first call. A child that was made by
/// the system call itself, past the C library, is not seen.
pub(crate) fn count() -> u32 {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        extern "C" fn forked() {
            FORKS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the handler is there for good, and does nothing that is not allowed in a forked child.
        if unsafe { libc::pthread_atfork(None, None, Some(forked)) } != 0 {
            log::error!("no memory to watch for forks: a forked child must not touch an adapter");
        }
    });
    FORKS.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forked_child_counts_one_more_than_its_parent() {
        let before = count();
        // SAFETY: the child reads an atomic and ends.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: it ends here, without what the parent would do at its end.
            unsafe { libc::_exit(i32::from(count() != before + 1)) };
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: the child is this process's.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!((libc::WIFEXITED(status), libc::WEXITSTATUS(status)), (true, 0));
        assert_eq!(count(), before);
    }
}
