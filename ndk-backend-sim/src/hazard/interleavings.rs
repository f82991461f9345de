//! A deregistration against accesses whose hazards are left standing, under loom: all interleavings.

use super::{Owner, Place};
use crate::record::{Keys, Record, Side};
use loom::cell::UnsafeCell;
use loom::sync::Mutex;
use loom::sync::atomic::{Ordering, fence};
use loom::thread;
use ndk_core::Access;
use std::fmt;
use std::sync::Arc;

const INDEX: u32 = 4;
const KEYS: Keys = Keys { local: 1, remote: 2 };

/// A queue pair with a place, and a region whose memory loom watches.
struct Model {
    queue: Mutex<()>,
    place: Place,
    record: Record,
    memory: UnsafeCell<()>,
}

// SAFETY: loom fails where two threads use the memory at once.
unsafe impl Sync for Model {}

impl Model {
    fn new() -> Arc<Self> {
        let model = Self::alone();
        model.place.set_owner(Arc::downgrade(&model) as _);
        model
    }

    /// An initiator's.
    fn alone() -> Arc<Self> {
        let model = Arc::new(Self {
            queue: Mutex::new(()),
            place: Place::default(),
            record: Record::new(),
            memory: UnsafeCell::new(()),
        });
        model.register();
        model
    }

    fn register(&self) {
        self.record.set_keys(KEYS);
        self.record.describe_at(0, 0x1000, 8, std::ptr::null());
        self.record.enliven(Access::REMOTE_WRITE);
    }

    fn is_live(&self) -> bool {
        self.record.read(Side::Remote, KEYS.remote).is_some()
    }

    /// As `access::begin_both` has it.
    fn access(&self) -> bool {
        let _queue = self.queue.lock().unwrap();
        self.look_and_move()
    }

    /// As `Initiator::write` has it, where there is no fence for both sides. The place has no owner then.
    fn access_alone(&self) -> bool {
        self.place.begin(false);
        let may = self.look_and_move();
        self.place.end();
        may
    }

    /// By the hazard that stands, or a new one; false where the record does not live.
    fn look_and_move(&self) -> bool {
        let mut may = self.place.standing().is_some() && self.is_live();
        if !may {
            self.place.publish(INDEX, &self.record);
            fence(Ordering::SeqCst);
            may = self.is_live();
        }
        match may {
            true => self.memory.with(|_| ()),
            false => self.place.withdraw(),
        }
        may
    }

    /// As `SimRegion::deregister` has it; the memory is its owner's again at the end.
    fn deregister(&self) {
        self.record.kill_before_fence();
        // That of the token's removal. Loom has no order of accesses that are sequentially consistent, but of such fences.
        fence(Ordering::SeqCst);
        while self.is_busy() {
            thread::yield_now();
        }
        self.memory.with_mut(|_| ());
    }

    /// As `SimRegion::end_at_once` has it; false where the region is registered still.
    fn deregister_at_once(&self) -> bool {
        let killed = self.record.kill_before_fence();
        fence(Ordering::SeqCst);
        if self.is_busy() {
            self.record.revive(killed);
            return false;
        }
        self.memory.with_mut(|_| ());
        true
    }

    /// As `Hazards::is_busy` has it.
    fn is_busy(&self) -> bool {
        self.place.hazard.load(Ordering::SeqCst) == INDEX + 1 && self.place.is_at_work(INDEX)
    }
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a model")
    }
}

impl Owner for Model {
    fn lower(&self) {
        if let Ok(_queue) = self.queue.try_lock() {
            self.place.withdraw();
        }
    }
}

fn no_access_is_at_work_after_a_deregistration(
    make: fn() -> Arc<Model>,
    access: fn(&Model) -> bool,
) {
    loom::model(move || {
        let model = make();
        let peer = {
            let model = model.clone();
            thread::spawn(move || [access(&model), access(&model)])
        };
        model.deregister();
        let [first, second] = peer.join().unwrap();
        assert!(first || !second, "the record lived again");
        assert!(!access(&model), "it is dead for whoever comes later");
    });
}

fn a_hazard_from_an_earlier_life_hides_no_access(
    make: fn() -> Arc<Model>,
    access: fn(&Model) -> bool,
) {
    loom::model(move || {
        let model = make();
        assert!(access(&model));
        let peer = {
            let model = model.clone();
            thread::spawn(move || access(&model))
        };
        model.deregister();
        model.register();
        model.deregister();
        peer.join().unwrap();
        assert!(!access(&model));
    });
}

#[test]
fn d3_no_access_is_at_work_after_a_deregistration_whether_its_hazard_stood_or_not() {
    no_access_is_at_work_after_a_deregistration(Model::new, Model::access);
}

#[test]
fn d3_a_hazard_that_stands_from_an_earlier_life_of_the_record_is_no_pass_to_the_next() {
    a_hazard_from_an_earlier_life_hides_no_access(Model::new, Model::access);
}

#[test]
fn d3_no_access_of_an_initiator_is_at_work_after_a_deregistration() {
    no_access_is_at_work_after_a_deregistration(Model::alone, Model::access_alone);
}

#[test]
fn d3_an_initiators_hazard_that_stands_from_an_earlier_life_of_the_record_hides_no_later_access() {
    a_hazard_from_an_earlier_life_hides_no_access(Model::alone, Model::access_alone);
}

fn a_deregistration_at_once_is_whole_or_none(make: fn() -> Arc<Model>, access: fn(&Model) -> bool) {
    loom::model(move || {
        let model = make();
        let peer = {
            let model = model.clone();
            thread::spawn(move || access(&model))
        };
        if model.deregister_at_once() {
            assert!(!model.is_live());
        } else {
            assert!(model.is_live());
            model.deregister();
        }
        peer.join().unwrap();
        assert!(!access(&model));
    });
}

#[test]
fn b7_a_deregistration_at_once_that_meets_an_access_leaves_the_region_registered() {
    a_deregistration_at_once_is_whole_or_none(Model::new, Model::access);
}

#[test]
fn b7_one_that_meets_an_access_of_an_initiator_leaves_the_region_registered() {
    a_deregistration_at_once_is_whole_or_none(Model::alone, Model::access_alone);
}
