//! Models of what threads do to the list of a queue pair's requests at the same time.

use super::done::Done;
use super::posted::Posted;
use crate::platform::Std;
use crate::provider::{WorkId, WorkKind};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Waker};
use loom::thread;

extern crate std;

fn context(done: &Done) -> Option<u64> {
    done.pop().map(|completion| completion.id.context)
}

/// Two threads push what does not all have room, and a third pops.
#[test]
fn what_is_pushed_is_popped_once_and_in_the_order_of_each_thread() {
    loom::model(|| {
        let done = Arc::new(Done::new());
        let pushers = [10, 20].map(|first| {
            let done = done.clone();
            thread::spawn(move || -> Vec<u64> {
                let all = first..first + 2;
                all.filter(|&context| done.push(context, false, 1)).collect()
            })
        });
        let mut popped: Vec<u64> = (0..2).filter_map(|_| context(&done)).collect();
        let pushed = pushers.map(|pusher| pusher.join().unwrap());
        popped.extend(core::iter::from_fn(|| context(&done)));
        for pushed in &pushed {
            let of_one: Vec<u64> =
                popped.iter().copied().filter(|context| pushed.contains(context)).collect();
            assert_eq!(of_one, *pushed);
        }
        assert_eq!(popped.len(), pushed.concat().len());
        assert!(popped.len() >= 2, "there was room for two");
    });
}

struct Flag(loom::sync::atomic::AtomicBool);

impl std::task::Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, loom::sync::atomic::Ordering::Release);
    }
}

/// One waits while another carries a request out.
#[test]
fn who_waits_finds_the_completion_or_is_woken() {
    loom::model(|| {
        let posted = Arc::new(Posted::<Std>::new());
        let other = posted.clone();
        let poster = thread::spawn(move || other.add_done(1, false, 1));
        let flag = Arc::new(Flag(loom::sync::atomic::AtomicBool::new(false)));
        let waker = Waker::from(flag.clone());
        let mut found = posted.next_done().is_some();
        if !found {
            posted.wait(&Context::from_waker(&waker));
            found = posted.next_done().is_some();
        }
        poster.join().unwrap();
        assert!(found || flag.0.load(loom::sync::atomic::Ordering::Acquire), "it hangs");
        assert!(found || posted.next_done().is_some());
        assert_eq!(posted.next_done(), None);
    });
}

const ID: WorkId = WorkId { context: 1, tag: 0 };

/// A request completes while another call poisons the queue pair.
#[test]
fn b8_a_request_completes_by_the_backend_or_by_the_poisoning() {
    loom::model(|| {
        let posted = Arc::new(Posted::<Std>::new());
        posted.add(ID, WorkKind::Send).unwrap();
        let other = posted.clone();
        let poller = thread::spawn(move || other.complete(ID, WorkKind::Send, || ()).is_some());
        posted.poison();
        let drained = posted.next_of_poisoned().is_some();
        assert!(poller.join().unwrap() != drained, "once");
        assert_eq!(posted.next_of_poisoned(), None);
    });
}

/// A request is refused while another call poisons the queue pair and polls.
#[test]
fn b8_a_request_is_posted_and_completes_or_is_neither() {
    loom::model(|| {
        let posted = Arc::new(Posted::<Std>::new());
        let other = posted.clone();
        let poster = thread::spawn(move || {
            // The backend refuses what was added: so it was posted if it has completed meanwhile.
            other
                .add(ID, WorkKind::Send)
                .is_ok_and(|number| !other.take_back(number, WorkKind::Send))
        });
        posted.poison();
        let drained = posted.next_of_poisoned().is_some();
        assert_eq!(poster.join().unwrap(), drained);
        assert_eq!(posted.next_of_poisoned(), None);
    });
}

/// A request about a region is being posted while another call poisons the queue pair, and somebody waits.
#[test]
fn b8_who_waits_hears_of_what_completes_after_its_posting() {
    loom::model(|| {
        let posted = Arc::new(Posted::<Std>::new());
        let number = posted.add(ID, WorkKind::FastRegister).unwrap();
        let other = posted.clone();
        let poster = thread::spawn(move || other.set_posted(number, WorkKind::FastRegister));
        posted.poison();
        let flag = Arc::new(Flag(loom::sync::atomic::AtomicBool::new(false)));
        let waker = Waker::from(flag.clone());
        let mut found = posted.next_of_poisoned().is_some();
        if !found {
            posted.wait(&Context::from_waker(&waker));
            found = posted.next_of_poisoned().is_some();
        }
        poster.join().unwrap();
        assert!(found || flag.0.load(loom::sync::atomic::Ordering::Acquire), "it hangs");
        assert!(found || posted.next_of_poisoned().is_some());
        assert_eq!(posted.next_of_poisoned(), None);
    });
}
