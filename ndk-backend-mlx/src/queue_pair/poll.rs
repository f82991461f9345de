//! Taking completions.

use super::Core;
use ndk_core::WorkCompletion;
use std::task::{Context, Poll};

impl Core {
    pub(super) fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        if let Some(completion) = self.take() {
            return Poll::Ready(completion);
        }
        let waker = cx.waker().clone();
        let before = self.waiter.lock().replace(waker);
        drop(before);
        // Completions that came before the device was told to ring do not ring; neither do those that this side makes,
        // which may have come before the waker was there.
        self.queue.lock().arm();
        self.take().map_or(Poll::Pending, Poll::Ready)
    }

    fn take(&self) -> Option<WorkCompletion> {
        let (completion, wrong) = {
            let mut queue = self.queue.lock();
            if let Some(completion) = queue.take_ready() {
                return Some(completion);
            }
            let went = queue.drain(|key| self.is_invalidated(key));
            let given = queue.pump(self.is_broken());
            (queue.take_ready(), went.wrong || given.wrong)
        };
        if wrong {
            self.fail();
        }
        completion
    }
}
