//! The requests of a queue pair, in the order of their posting, and how far each has come.

use super::Objects;
use super::status::result_of;
use super::step::{Bound, Elements, Meaning, Progress, Step, give};
use crate::binder::Binder;
use crate::device::Facts;
use crate::mapping::Keyed;
use crate::sys::inline::{ibv_poll_cq, ibv_post_recv, ibv_req_notify_cq};
use crate::sys::layout::Zeroed;
use crate::sys::work::{ibv_recv_wr, ibv_wc};
use ndk_core::{ErrorKind, RemoteToken, WorkCompletion, WorkId, WorkKind};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::{Arc, Weak};

/// A request.
pub(super) struct Entry {
    pub(super) id: WorkId,
    pub(super) kind: WorkKind,
    pub(super) bytes: u32,
    /// Mappings that it uses: they live until it is over (L4).
    _keeps: SmallVec<[Arc<Keyed>; 2]>,
    progress: Progress,
    meaning: Meaning,
}

impl Entry {
    pub(super) fn new(
        id: WorkId,
        kind: WorkKind,
        bytes: u32,
        keeps: SmallVec<[Arc<Keyed>; 2]>,
        step: Step,
    ) -> Self {
        let progress = Progress::Waits(step);
        Self { id, kind, bytes, _keeps: keeps, progress, meaning: Meaning::None }
    }

    fn is_begun(&self) -> bool {
        matches!(&self.progress, Progress::Waits(step) if step.is_begun())
    }

    fn completed(self, result: Result<(), ErrorKind>) -> WorkCompletion {
        let bytes = if result.is_ok() { self.bytes } else { 0 };
        WorkCompletion { id: self.id, kind: self.kind, result, bytes, invalidated: None }
    }
}

/// The queues of requests and of completions. The device's objects are used under its lock only.
pub(super) struct Queue {
    objects: Option<Objects>,
    sends: VecDeque<Entry>,
    /// The number of the first of them; the device is given numbers.
    first_send: u64,
    /// How many at the front do not wait any more.
    moved_on: usize,
    receives: VecDeque<Entry>,
    first_receive: u64,
    ready: VecDeque<WorkCompletion>,
    /// Whether the next completion rings.
    armed: bool,
    /// Windows that were bound here.
    binders: Vec<Weak<Binder>>,
    invalidated_flags: u32,
}

/// Tells a receive's number from a send's.
const RECEIVE: u64 = 1 << 63;

/// Whether something has gone wrong, so that the queue pair has to be moved to error.
#[must_use]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Went {
    pub(super) wrong: bool,
}

impl Queue {
    pub(super) fn new(objects: Objects, facts: &Facts) -> Self {
        Self {
            objects: Some(objects),
            sends: VecDeque::new(),
            first_send: 0,
            moved_on: 0,
            receives: VecDeque::new(),
            first_receive: 0,
            ready: VecDeque::new(),
            armed: false,
            binders: Vec::new(),
            invalidated_flags: facts.invalidated_flags,
        }
    }

    pub(super) fn objects(&self) -> Option<&Objects> {
        self.objects.as_ref()
    }

    pub(super) fn sends(&self) -> usize {
        self.sends.len()
    }

    pub(super) fn receives(&self) -> usize {
        self.receives.len()
    }

    /// Takes a request in, and gives its number.
    pub(super) fn push_send(&mut self, entry: Entry) -> u64 {
        self.sends.push_back(entry);
        self.first_send + self.sends.len() as u64 - 1
    }

    /// A thread is about to register memory for a request; false where that has ended. One that has not will not end
    /// before `provide_bound`.
    pub(super) fn begin(&mut self, number: u64) -> bool {
        let Some(Progress::Waits(Step::Bind { begun, .. })) = self.progress_of(number) else {
            return false;
        };
        *begun = true;
        true
    }

    /// Whether a thread registers memory for a request.
    pub(super) fn has_begun(&self) -> bool {
        self.sends.iter().any(Entry::is_begun)
    }

    /// What a thread was to make for a request.
    pub(super) fn provide_bound(&mut self, number: u64, bound: Result<Bound, ErrorKind>) {
        if let Some(Progress::Waits(Step::Bind { made, .. })) = self.progress_of(number) {
            *made = Some(bound);
        }
    }

    /// As `provide_bound`, of a renewal.
    pub(super) fn provide_renewed(&mut self, number: u64, renewed: Result<(), ErrorKind>) {
        if let Some(Progress::Waits(Step::Renew { made })) = self.progress_of(number) {
            *made = Some(renewed);
        }
    }

    fn progress_of(&mut self, number: u64) -> Option<&mut Progress> {
        let index = usize::try_from(number.checked_sub(self.first_send)?).ok()?;
        self.sends.get_mut(index).map(|entry| &mut entry.progress)
    }

    /// Gives the device every request whose turn it is.
    pub(super) fn pump(&mut self, broken: bool) -> Went {
        let mut went = Went::default();
        while let Some(entry) = self.sends.get_mut(self.moved_on) {
            let Progress::Waits(step) = &mut entry.progress else {
                self.moved_on += 1;
                continue;
            };
            // What fails breaks the queue pair, so that it has to wait for what is before it.
            let waits = !step.is_made() || step.fails() && self.moved_on > 0;
            let device = self.objects.as_ref().filter(|_| !broken && !went.wrong);
            if waits && (device.is_some() || step.is_begun()) {
                break;
            }
            let step = std::mem::replace(step, Step::End(Ok(())));
            let number = self.first_send + self.moved_on as u64;
            (entry.progress, entry.meaning) = match device {
                Some(objects) => give(objects, number, step),
                None => (Progress::Ended(Err(ErrorKind::Cancelled)), Meaning::None),
            };
            let refused = matches!(entry.progress, Progress::Ended(Err(_)));
            went.wrong |= refused && device.is_some();
            if let Meaning::Bind(binder) = &entry.meaning {
                self.binders.retain(|binder| binder.strong_count() > 0);
                self.binders.push(Arc::downgrade(binder));
            }
            self.moved_on += 1;
        }
        self.settle();
        went
    }

    /// Takes a receive in, and gives it to the device.
    ///
    /// # Errors
    /// INSUFFICIENT_RESOURCES where the device does not take it.
    pub(super) fn push_receive(
        &mut self,
        mut entry: Entry,
        mut elements: Elements,
        broken: bool,
    ) -> Result<(), ErrorKind> {
        entry.progress = Progress::Ended(Err(ErrorKind::Cancelled));
        if let Some(objects) = self.objects.as_ref().filter(|_| !broken) {
            let mut request = ibv_recv_wr {
                wr_id: RECEIVE | (self.first_receive + self.receives.len() as u64),
                sg_list: elements.as_mut_ptr(),
                num_sge: elements.len() as i32,
                ..ibv_recv_wr::zeroed()
            };
            let mut refused = std::ptr::null_mut();
            // SAFETY: the queue pair is there; request and elements are for the call.
            let posted =
                unsafe { ibv_post_recv(objects.qp.as_ptr(), &raw mut request, &raw mut refused) };
            match posted.abs() {
                0 => entry.progress = Progress::Posted,
                // The connection is gone, and the receive with it.
                libc::ENOTCONN => {}
                _ => return Err(ErrorKind::InsufficientResources),
            }
        }
        self.receives.push_back(entry);
        self.settle();
        Ok(())
    }

    /// Takes what the device has completed.
    pub(super) fn drain(&mut self, mut invalidated: impl FnMut(u32)) -> Went {
        const BATCH: usize = 8;
        let mut went = Went::default();
        let mut completions = [ibv_wc::zeroed(); BATCH];
        while let Some(objects) = &self.objects {
            // SAFETY: the completion queue is there, and the array has the room.
            let count =
                unsafe { ibv_poll_cq(objects.cq.as_ptr(), BATCH as i32, completions.as_mut_ptr()) };
            let count = usize::try_from(count).unwrap_or(0);
            for completion in &completions[..count] {
                went.wrong |= result_of(completion.status).is_err();
                self.complete(completion, &mut invalidated);
            }
            if count < BATCH {
                break;
            }
        }
        self.settle();
        went
    }

    fn complete(&mut self, completion: &ibv_wc, invalidated: &mut impl FnMut(u32)) {
        let result = result_of(completion.status);
        if completion.wr_id & RECEIVE == 0 {
            if let Some(progress) = self.progress_of(completion.wr_id)
                && matches!(progress, Progress::Posted)
            {
                *progress = Progress::Ended(result);
            }
            return;
        }
        // Receives complete in their order.
        let number = completion.wr_id & !RECEIVE;
        while self.first_receive <= number {
            let Some(entry) = self.receives.pop_front() else { break };
            self.first_receive += 1;
            let last = self.first_receive > number;
            let mut done = entry.completed(if last { result } else { Err(ErrorKind::Cancelled) });
            if last && result.is_ok() {
                done.bytes = completion.byte_len;
                if completion.wc_flags & self.invalidated_flags != 0 {
                    done.invalidated = RemoteToken::new(completion.invalidated_rkey);
                    invalidated(completion.invalidated_rkey);
                }
            }
            self.ready.push_back(done);
        }
    }

    /// Moves what has ended to the completions, in the order of the posting.
    fn settle(&mut self) {
        while let Some(Entry { progress: Progress::Ended(result), .. }) = self.sends.front() {
            let result = *result;
            let Some(entry) = self.sends.pop_front() else { break };
            self.first_send += 1;
            self.moved_on = self.moved_on.saturating_sub(1);
            entry.meaning.take_effect(result);
            self.ready.push_back(entry.completed(result));
        }
        while let Some(Entry { progress: Progress::Ended(result), .. }) = self.receives.front() {
            let result = *result;
            let Some(entry) = self.receives.pop_front() else { break };
            self.first_receive += 1;
            self.ready.push_back(entry.completed(result));
        }
    }

    pub(super) fn take_ready(&mut self) -> Option<WorkCompletion> {
        self.ready.pop_front()
    }

    /// Has the next completion ring. Those that are there already do not.
    pub(super) fn arm(&mut self) {
        if let Some(objects) = self.objects.as_ref().filter(|_| !self.armed) {
            // SAFETY: the completion queue is there.
            self.armed = unsafe { ibv_req_notify_cq(objects.cq.as_ptr(), 0) } == 0;
        }
    }

    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }

    /// What has not been given to the device never will be.
    pub(super) fn give_up_waiting(&mut self) {
        let _ = self.pump(true);
    }

    /// Whether the device has requests that it has not completed.
    pub(super) fn has_posted(&self) -> bool {
        let mut entries = self.sends.iter().chain(&self.receives);
        entries.any(|entry| matches!(entry.progress, Progress::Posted))
    }

    /// The device will complete nothing any more but what it has.
    pub(super) fn give_up_posted(&mut self, invalidated: impl FnMut(u32)) {
        let _ = self.drain(invalidated);
        for entry in self.sends.iter_mut().chain(&mut self.receives) {
            if !matches!(entry.progress, Progress::Ended(_)) && !entry.is_begun() {
                entry.progress = Progress::Ended(Err(ErrorKind::Cancelled));
            }
        }
        self.settle();
    }

    /// Takes everything out: the device's objects, the windows bound here, and what requests hold.
    pub(super) fn close(&mut self) -> (Option<Objects>, Vec<Weak<Binder>>, Vec<Entry>) {
        let entries = self.sends.drain(..).chain(self.receives.drain(..)).collect();
        self.moved_on = 0;
        (self.objects.take(), std::mem::take(&mut self.binders), entries)
    }
}
