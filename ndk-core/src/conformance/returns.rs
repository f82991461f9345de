//! Finds an entry that waits for its own operation (B5), where it would hang the case.

use super::control::Step;
use super::env::{Env, Issued};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Rings when the entry is over, also where the case failed in it.
struct Over<'a>(&'a AtomicBool, std::sync::Arc<super::ticket::Bell>);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.ring();
    }
}

impl Env {
    /// Makes a request whose operation waits at the gate of `step`. An entry that does not return is let go, by opening
    /// the gate, and then found out.
    #[track_caller]
    pub(super) fn returns(
        &mut self,
        step: Step,
        start: impl FnOnce(&mut Self) -> Issued,
    ) -> Issued {
        let over = AtomicBool::new(false);
        let (bell, control, desk) = (self.bell.clone(), self.control.clone(), self.desk.clone());
        let (issued, waited) = thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut seen = bell.rings();
                while !over.load(Ordering::SeqCst) {
                    if !bell.wait(seen) {
                        control.release(step);
                        while !over.load(Ordering::SeqCst) {
                            desk.run_until_idle();
                            thread::yield_now();
                        }
                        return true;
                    }
                    seen = bell.rings();
                }
                false
            });
            let ended = Over(&over, bell.clone());
            let issued = start(self);
            drop(ended);
            (issued, watch.join().expect("the watch does not panic"))
        });
        assert!(!waited, "B5: {step:?}: the entry does not return while its operation waits");
        issued
    }
}
