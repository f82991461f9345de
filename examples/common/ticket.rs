//! Waiting for a request without an allocation: for tools that measure.

use ndk_core::abi::*;
use std::hint::spin_loop;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicI32, AtomicPtr, Ordering};
use std::thread::{self, Thread};

/// Looks before a waiting thread goes to sleep: a short wait is not to be measured as a thread's waking up.
const LOOKS: u32 = 1000;

/// The completion of one request of this thread.
#[derive(Debug)]
pub struct Ticket {
    /// PENDING until the completion has come.
    status: AtomicI32,
    object: AtomicPtr<NDK_OBJECT_HEADER>,
    waiter: Thread,
}

impl Default for Ticket {
    fn default() -> Self {
        Self {
            status: AtomicI32::new(STATUS_PENDING),
            object: AtomicPtr::new(null_mut()),
            waiter: thread::current(),
        }
    }
}

impl Ticket {
    /// The context of the request.
    pub fn context(&self) -> PVOID {
        (&raw const *self).cast_mut().cast()
    }

    /// Waits where the entry returned PENDING, and gives the final status.
    #[inline]
    pub fn wait(&self, returned: NTSTATUS) -> NTSTATUS {
        if returned != STATUS_PENDING {
            return returned;
        }
        let mut looks = 0;
        loop {
            let status = self.status.load(Ordering::Acquire);
            if status != STATUS_PENDING {
                self.status.store(STATUS_PENDING, Ordering::Relaxed);
                return status;
            }
            looks += 1;
            if looks < LOOKS { spin_loop() } else { thread::park() }
        }
    }

    /// The object that a creation which pended has made.
    pub fn object(&self) -> *mut NDK_OBJECT_HEADER {
        self.object.load(Ordering::Relaxed)
    }

    /// Who waits may go on, and the ticket be gone, as soon as the status is there.
    fn complete(&self, status: NTSTATUS) {
        let waiter = self.waiter.clone();
        self.status.store(status, Ordering::Release);
        waiter.unpark();
    }
}

/// # Safety
/// `context` is that of a ticket whose request is pending.
unsafe fn ticket<'a>(context: PVOID) -> &'a Ticket {
    // SAFETY: the caller's promise; who waits for a pending request keeps its ticket until it has completed.
    unsafe { &*context.cast::<Ticket>() }
}

/// The completion routine of register and deregister.
///
/// # Safety
/// `context` is that of a ticket whose request is pending.
pub unsafe extern "system" fn request_done(context: PVOID, status: NTSTATUS) {
    // SAFETY: the caller's promise.
    unsafe { ticket(context) }.complete(status);
}

/// The completion routine of a close.
///
/// # Safety
/// As for [`request_done`].
pub unsafe extern "system" fn close_done(context: PVOID) {
    // SAFETY: the caller's promise.
    unsafe { ticket(context) }.complete(STATUS_SUCCESS);
}

/// The completion routine of a creation.
///
/// # Safety
/// As for [`request_done`].
pub unsafe extern "system" fn create_done(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    // SAFETY: the caller's promise.
    let ticket = unsafe { ticket(context) };
    ticket.object.store(object, Ordering::Relaxed);
    ticket.complete(status);
}
