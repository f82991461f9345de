//! Reads and writes that the backend carries out while they are posted: each completes once, in the order of the posting,
//! whatever comes between.

use crate::backend::Trap;
use crate::bench::{Bench, Qp, kind};
use crate::operation::End;
use crate::panics::{Count, INTERNAL, is_poisoned};
use ndk_core::{
    ErrorKind, LocalToken, RemoteAddress, RemoteToken, Result, Sge, WorkCompletion, WorkKind,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread;

const REMOTE: RemoteAddress = RemoteAddress { address: 0, token: RemoteToken::new(1).unwrap() };

fn element(length: u32) -> Sge {
    Sge { address: 0, length, token: LocalToken::new(1).unwrap() }
}

/// A write of as many bytes as its context says, or for an odd one a read.
fn post(qp: &Qp, context: u64) -> Result<()> {
    let local = [element(context as u32)];
    match context % 2 {
        0 => qp.write(context, &local, REMOTE),
        _ => qp.read(context, &local, REMOTE),
    }
}

fn assert_done(completion: &WorkCompletion, context: u64) {
    let kind = if context.is_multiple_of(2) { WorkKind::Write } else { WorkKind::Read };
    assert_eq!((completion.id.context, completion.id.tag, completion.kind), (context, 0, kind));
    assert_eq!((completion.result, completion.bytes), (Ok(()), context as u32));
    assert_eq!(completion.invalidated, None);
}

fn carrying_out() -> (Bench, Qp) {
    let bench = Bench::new();
    bench.control.carries_out.store(true, Ordering::Relaxed);
    let qp = bench.qp();
    (bench, qp)
}

#[test]
fn more_completions_than_have_room_come_in_the_order_of_the_posting_each_once() {
    let (bench, qp) = carrying_out();
    for round in 0..3 {
        (0..100).for_each(|context| post(&qp, context).expect("posted"));
        assert!(bench.control.in_flight() > 0, "round {round}: they had room");
        bench.control.complete_all();
        for context in 0..100 {
            let completion = qp.poll().expect("a completion");
            assert_eq!((completion.id.context, completion.result), (context, Ok(())));
        }
        assert_eq!(qp.poll(), None, "each completes once");
        post(&qp, 7).expect("posted");
        assert_eq!(bench.control.in_flight(), 0, "once there is room again");
        assert_done(&qp.poll().expect("a completion"), 7);
    }
    drop(qp);
    bench.end();
}

#[test]
fn what_the_backend_cannot_carry_out_now_is_posted_and_keeps_its_turn() {
    let (bench, qp) = carrying_out();
    post(&qp, 1).expect("posted");
    bench.control.now.set(End::Fail);
    post(&qp, 2).expect("posted");
    bench.control.now.set(End::Succeed);
    post(&qp, 3).expect("posted");
    assert_eq!(bench.control.in_flight(), 2, "the third waits for the second");
    assert_done(&qp.poll().expect("a completion"), 1);
    assert_eq!(qp.poll(), None);
    bench.control.complete(Err(ErrorKind::AccessViolation));
    bench.control.complete(Err(ErrorKind::Cancelled));
    let outcome = |completion: WorkCompletion| (completion.id.context, completion.result);
    let refused = (2, Err(ErrorKind::AccessViolation));
    assert_eq!(qp.poll().map(outcome), Some(refused));
    assert_eq!(qp.poll().map(outcome), Some((3, Err(ErrorKind::Cancelled))));
    assert_eq!(qp.poll(), None);
    drop(qp);
    bench.end();
}

#[test]
fn what_is_refused_for_its_arguments_is_not_carried_out() {
    let (bench, qp) = carrying_out();
    let two = [element(1), element(1)];
    assert_eq!(kind(qp.write(1, &two, REMOTE)), Some(ErrorKind::InvalidParameter));
    let long = [element((1 << 20) + 1)];
    assert_eq!(kind(qp.read(2, &long, REMOTE)), Some(ErrorKind::InvalidParameter));
    bench.control.lost.store(true, Ordering::Relaxed);
    assert_eq!(kind(post(&qp, 3)), Some(ErrorKind::DeviceRemoved), "H8");
    assert_eq!((qp.poll(), bench.control.in_flight()), (None, 0));
    drop(qp);
    bench.end();
}

#[test]
fn b8_what_was_carried_out_before_a_panic_has_succeeded_and_the_rest_completes_once() {
    let (bench, qp) = carrying_out();
    (1..=3).for_each(|context| post(&qp, context).expect("posted"));
    qp.send(4, &[], None).expect("posted");
    post(&qp, 5).expect("posted");
    bench.control.set_trap(Trap::Flush);
    qp.flush();
    (1..=3).for_each(|context| assert_done(&qp.poll().expect("a completion"), context));
    for context in [4, 5] {
        let completion = qp.poll().expect("a completion");
        assert_eq!((completion.id.context, completion.result), (context, Err(ErrorKind::Internal)));
    }
    is_poisoned(&qp);
    assert_eq!(kind(post(&qp, 6)), INTERNAL);
    drop(qp);
    bench.end();
}

#[test]
fn b8_a_panic_of_what_is_carried_out_now_poisons_the_queue_pair_and_posts_nothing() {
    let (bench, qp) = carrying_out();
    post(&qp, 1).expect("posted");
    bench.control.now.set(End::Panic);
    assert_eq!(kind(post(&qp, 2)), INTERNAL);
    assert_done(&qp.poll().expect("a completion"), 1);
    is_poisoned(&qp);
    drop(qp);
    bench.end();
}

#[test]
fn who_waits_is_woken_by_what_is_carried_out_now_though_the_backend_wakes_nobody() {
    let (bench, qp) = carrying_out();
    let count = Arc::<Count>::default();
    let waker = Waker::from(count.clone());
    let mut cx = Context::from_waker(&waker);
    for wakes in 1..=3 {
        assert!(qp.poll_completion(&mut cx).is_pending());
        post(&qp, 2).expect("posted");
        assert_eq!(count.0.load(Ordering::Relaxed), wakes);
        let Poll::Ready(completion) = qp.poll_completion(&mut cx) else { panic!("it pends") };
        assert_done(&completion, 2);
    }
    drop(qp);
    bench.end();
}

#[test]
fn threads_that_post_and_poll_at_once_get_each_completion_once() {
    const EACH: u64 = 5000;
    let (bench, qp) = carrying_out();
    let seen = AtomicUsize::new(0);
    let poll = || {
        let mut taken = Vec::new();
        while seen.load(Ordering::Relaxed) < 2 * EACH as usize {
            match qp.poll() {
                Some(completion) => {
                    seen.fetch_add(1, Ordering::Relaxed);
                    taken.push(completion.id.context);
                }
                None => thread::yield_now(),
            }
        }
        taken
    };
    let post_each = |first: u64| {
        for context in first..first + EACH {
            post(&qp, context).expect("posted");
            bench.control.complete_all();
        }
    };
    let mut taken = thread::scope(|scope| {
        scope.spawn(|| post_each(0));
        scope.spawn(|| post_each(EACH));
        let pollers = [scope.spawn(poll), scope.spawn(poll)];
        pollers.map(|poller| poller.join().unwrap()).concat()
    });
    taken.sort_unstable();
    assert_eq!(taken, (0..2 * EACH).collect::<Vec<_>>(), "each completes once");
    drop(qp);
    bench.end();
}
