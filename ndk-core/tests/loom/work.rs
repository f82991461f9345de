//! Work requests against each other, and against initialisations.

use crate::bench::{Bench, Mr, nothing};
use crate::device::{Device, Modelled, Pace};
use crate::executors::OnTheSpot;
use crate::explore_up_to;
use loom::future::block_on;
use loom::thread::{self, JoinHandle};
use ndk_core::{
    Access, ErrorKind, FastMemory, Progress, QueueDepths, QueuePair, RegionKind, Result,
};
use std::sync::Arc;

type Qp = QueuePair<Device, Modelled>;

/// A region whose fast registration was posted to the first of two queue pairs, and polled.
fn registered() -> (Bench, Mr, [Arc<Qp>; 2]) {
    let bench = Bench::new(Device::with(Pace::Inline), Arc::new(OnTheSpot), nothing);
    let mr = bench.region(RegionKind::FastRegister);
    // SAFETY: the domain is closed at the end.
    let qp = || unsafe { bench.pd.create_qp(QueueDepths { receive: 4, initiator: 4 }) };
    let qps = [(); 2].map(|()| Arc::new(block_on(qp()).expect("a queue pair")));
    assert_eq!(bench.consumer.initialise(mr, 1), Ok(Progress::Done));
    assert_eq!(fast_register(&qps[0], mr), Ok(()));
    assert_eq!(qps[0].poll().map(|completion| completion.result), Some(Ok(())));
    (bench, mr, qps)
}

fn fast_register(qp: &Qp, mr: Mr) -> Result<()> {
    let memory = FastMemory { pages: &[0x1000], first_byte: 0, length: 1, base: 0 };
    // SAFETY: the region is closed at the end, and no model touches the page.
    unsafe { qp.fast_register(1, mr, memory, Access::LOCAL_WRITE) }
}

fn invalidate(qp: &Qp, mr: Mr) -> Result<()> {
    // SAFETY: the region is closed at the end.
    unsafe { qp.invalidate(2, mr) }
}

/// Posts an invalidation, and polls its completion.
fn invalidate_and_poll(qp: &Qp, mr: Mr) {
    assert_eq!(invalidate(qp, mr), Ok(()));
    assert_eq!(qp.poll().map(|completion| completion.result), Some(Ok(())));
    qp.endpoint();
}

/// A thread that invalidates by the first queue pair, and a point before or after any of its steps.
fn invalidating(qps: &[Arc<Qp>; 2], mr: Mr) -> JoinHandle<()> {
    let qp = qps[0].clone();
    let thread = thread::spawn(move || invalidate_and_poll(&qp, mr));
    qps[0].endpoint();
    thread
}

fn end(bench: Bench, mr: Mr, qps: [Arc<Qp>; 2]) {
    for qp in qps {
        block_on(Arc::into_inner(qp).expect("the threads are gone").close());
    }
    assert_eq!(bench.consumer.close(mr), Progress::Done);
    bench.end_all();
}

/// Whether it was accepted, and else refused for the region's state.
fn is_accepted<T>(result: Result<T>) -> bool {
    match result {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::InvalidDeviceState);
            false
        }
    }
}

/// G8, G3: what is being registered is neither invalidated nor initialised anew, and what has completed may be both, be its
/// posting over or not.
#[test]
fn an_invalidation_and_an_initialisation_against_a_fast_registration() {
    explore_up_to(3, || {
        let (bench, mr, qps) = registered();
        invalidate_and_poll(&qps[0], mr);
        let other = {
            let qp = qps[0].clone();
            thread::spawn(move || assert_eq!(fast_register(&qp, mr), Ok(())))
        };
        qps[0].endpoint();
        let seen = qps[0].poll().is_some();
        let invalidated = is_accepted(invalidate(&qps[1], mr));
        assert!(invalidated || !seen, "its completion was seen");
        if invalidated {
            assert_eq!(qps[1].poll().map(|completion| completion.result), Some(Ok(())));
            assert_eq!(bench.consumer.initialise(mr, 2), Ok(Progress::Done));
        }
        other.join().unwrap();
        if !invalidated {
            assert!(qps[0].poll().is_some(), "nobody has polled it");
            assert_eq!(invalidate(&qps[1], mr), Ok(()), "G8: it is over");
        }
        end(bench, mr, qps);
    });
}

/// G8: a fast registration may come behind an invalidation in flight on its queue pair; not so behind one that another thread
/// posts elsewhere in the middle, once that of this queue pair is over.
#[test]
fn a_fast_registration_against_an_invalidation_here_and_the_next_one_elsewhere() {
    explore_up_to(2, || {
        let (bench, mr, qps) = registered();
        assert_eq!(invalidate(&qps[0], mr), Ok(()));
        let other = {
            let qps = qps.clone();
            thread::spawn(move || {
                assert!(qps[0].poll().is_some());
                if is_accepted(fast_register(&qps[0], mr)) {
                    is_accepted(invalidate(&qps[1], mr));
                }
            })
        };
        qps[0].endpoint();
        is_accepted(fast_register(&qps[0], mr));
        other.join().unwrap();
        for qp in &qps {
            while qp.poll().is_some() {}
        }
        end(bench, mr, qps);
    });
}

/// G3: one of them is first, and what is refused leaves nothing behind.
#[test]
fn a_fast_registration_against_an_initialisation() {
    explore_up_to(3, || {
        let (bench, mr, qps) = registered();
        invalidate_and_poll(&qps[0], mr);
        let other = {
            let qp = qps[0].clone();
            thread::spawn(move || is_accepted(fast_register(&qp, mr)))
        };
        is_accepted(bench.consumer.initialise(mr, 2));
        if !other.join().unwrap() {
            assert_eq!(fast_register(&qps[0], mr), Ok(()), "G7: nothing is registered");
        }
        end(bench, mr, qps);
    });
}

/// G3: an initialisation is refused until the invalidation's completion is polled; the device never sees both at once.
#[test]
fn an_initialisation_against_an_invalidation() {
    explore_up_to(3, || {
        let (bench, mr, qps) = registered();
        let other = invalidating(&qps, mr);
        is_accepted(bench.consumer.initialise(mr, 2));
        other.join().unwrap();
        assert_eq!(bench.consumer.initialise(mr, 1), Ok(Progress::Done), "nothing is in flight");
        assert_eq!(fast_register(&qps[1], mr), Ok(()));
        end(bench, mr, qps);
    });
}

/// G8: a fast registration on another queue pair is refused until the invalidation's completion is polled.
#[test]
fn a_fast_registration_on_another_queue_pair_against_an_invalidation() {
    explore_up_to(3, || {
        let (bench, mr, qps) = registered();
        let other = invalidating(&qps, mr);
        let accepted = is_accepted(fast_register(&qps[1], mr));
        other.join().unwrap();
        assert_eq!(is_accepted(fast_register(&qps[1], mr)), !accepted, "G7");
        invalidate_and_poll_behind(&qps[1], mr);
        end(bench, mr, qps);
    });
}

/// Of one queue pair that has a completion of a fast registration already.
fn invalidate_and_poll_behind(qp: &Qp, mr: Mr) {
    assert_eq!(qp.poll().map(|completion| completion.result), Some(Ok(())));
    invalidate_and_poll(qp, mr);
}

/// G8: of two invalidations of one registration exactly one is posted.
#[test]
fn of_two_invalidations_one_is_posted() {
    explore_up_to(3, || {
        let (bench, mr, qps) = registered();
        let other = {
            let qp = qps[0].clone();
            thread::spawn(move || is_accepted(invalidate(&qp, mr)))
        };
        let accepted = is_accepted(invalidate(&qps[1], mr));
        assert_eq!(other.join().unwrap(), !accepted);
        let polled = qps.iter().filter(|qp| qp.poll().is_some()).count();
        assert_eq!(polled, 1, "the device saw one");
        assert_eq!(bench.consumer.initialise(mr, 1), Ok(Progress::Done));
        end(bench, mr, qps);
    });
}
