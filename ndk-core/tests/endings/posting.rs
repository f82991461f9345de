//! What other threads ask about a region or a window while a request about it is being posted (G8): the device may not have
//! the request yet, unless its completion says so.

use crate::at_once::Subject;
use crate::backend::Trap;
use crate::bench::{
    Bench, Calls, Qp, Region, WRONG_STATE, Window, bind, close, complete, fast_register,
    initialise, initialise_inline, invalidate, kind,
};
use crate::operation::{End, Hook};
use ndk_core::{ErrorKind, Progress, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, RawWaker, RawWakerVTable, Wake, Waker};
use std::thread;

fn qps(bench: &Bench) -> [Arc<Qp>; 2] {
    [(); 2].map(|()| Arc::new(bench.qp()))
}

/// Both are told to do it while the hook's operation is at work.
fn meanwhile(
    hook: &Hook,
    qps: &[Arc<Qp>; 2],
    ask: impl Fn(&Qp) -> Result<()> + Send + 'static,
    answers: [Option<ErrorKind>; 2],
) {
    let qps = qps.clone();
    hook.set(move || assert_eq!(qps.map(|qp| kind(ask(&qp))), answers));
}

fn end(bench: Bench, qps: [Arc<Qp>; 2], region: Region) {
    bench.control.complete_all();
    while qps[0].poll().is_some() {}
    close(region);
    drop(qps);
    bench.end();
}

#[test]
fn g8_what_is_being_registered_is_not_invalidated() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    let ask = move |qp: &Qp| {
        assert_eq!(kind(initialise(region, &Calls::default())), WRONG_STATE, "G3");
        assert_eq!(kind(fast_register(qp, region)), WRONG_STATE, "G7");
        invalidate(qp, region)
    };
    for hook in [&bench.control.post.hook, &bench.control.posted_hook] {
        meanwhile(hook, &qps, ask, [WRONG_STATE; 2]);
        fast_register(&qps[0], region).expect("posted");
        assert_eq!(bench.control.in_flight(), 1);
        let elsewhere = kind(invalidate(&qps[1], region));
        assert_eq!(elsewhere, WRONG_STATE, "G8: the device may come to it first");
        invalidate(&qps[0], region).expect("G8: behind the registration, on its queue pair");
        complete(&bench, &qps[0], Ok(()));
        complete(&bench, &qps[0], Ok(()));
    }
    end(bench, qps, region);
}

/// How a queue pair with something in flight goes on.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Polled,
    Closed,
    /// Its close panics: a device may still come to what is in flight there.
    Leaked,
}

#[test]
fn g8_what_is_in_flight_on_one_queue_pair_is_not_invalidated_on_another() {
    for then in [Then::Polled, Then::Closed, Then::Leaked] {
        let bench = Bench::new();
        let (qp, other, subject) = (bench.qp(), bench.qp(), registered(&bench));
        let (region, window) = (bench.fast_region(), bench.window());
        fast_register(&qp, region).expect("posted");
        bind(&qp, subject.region, &window).expect("posted");
        assert_eq!(kind(invalidate(&other, region)), WRONG_STATE, "G8");
        assert_eq!(kind(other.invalidate_window(1, &window)), WRONG_STATE, "G8");
        if then == Then::Polled {
            complete(&bench, &qp, Ok(()));
            complete(&bench, &qp, Ok(()));
        }
        bench.control.close.set(if then == Then::Leaked { End::Panic } else { End::Succeed });
        drop(qp);
        bench.control.close.set(End::Succeed);
        // Of a registration that nobody will hear of nothing is known (G10).
        let region_may_be = kind(invalidate(&other, region)).is_none();
        assert_eq!(region_may_be, then == Then::Polled, "{then:?}");
        let new_life = kind(initialise(region, &Calls::default())).is_none();
        assert_eq!(new_life, then == Then::Closed, "G3, G10: {then:?}");
        // A window counts as bound.
        let window_may_be = kind(other.invalidate_window(1, &window)).is_none();
        assert_eq!(window_may_be, then != Then::Leaked, "{then:?}");
        drop(window);
        close(region);
        close(subject.region);
        drop(other);
        bench.end();
    }
}

#[test]
fn g8_what_has_completed_is_invalidated_before_its_posting_returns() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    let (control, inner) = (bench.control.clone(), qps.clone());
    bench.control.posted_hook.set(move || {
        control.complete_all();
        assert!(inner[0].poll().is_some());
        invalidate(&inner[1], region).expect("G8: its completion was seen");
        control.complete_all();
        assert!(inner[0].poll().is_some());
        // Nor does the return of the first posting say anything of the next one, which is made meanwhile.
        initialise_inline(region);
        fast_register(&inner[1], region).expect("G7");
    });
    fast_register(&qps[0], region).expect("posted");
    bench.control.peer_invalidates();
    assert!(qps[0].poll().is_some());
    let over = kind(invalidate(&qps[0], region));
    assert_eq!(over, WRONG_STATE, "G9: a peer has invalidated the second one");
    fast_register(&qps[0], region).expect("G7");
    end(bench, qps, region);
}

/// A request is being posted by one thread until `middle` lets it return, from within what comes after its completion.
fn returns_late(
    bench: &Bench,
    qps: &[Arc<Qp>; 2],
    post: impl FnOnce(&Qp) -> Result<()> + Send + 'static,
    middle: impl FnOnce(Box<dyn FnOnce() + Send>),
) {
    let (arrived, came) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    bench.control.posted_hook.set(move || {
        arrived.send(()).unwrap();
        gone.recv().unwrap();
    });
    let qp = qps[0].clone();
    let thread = thread::spawn(move || post(&qp).expect("posted"));
    came.recv().unwrap();
    complete(bench, &qps[0], Ok(()));
    middle(Box::new(move || {
        go.send(()).unwrap();
        thread.join().unwrap();
    }));
}

#[test]
fn g8_the_return_of_an_earlier_posting_says_nothing_of_the_next() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    returns_late(
        &bench,
        &qps,
        move |qp| fast_register(qp, region),
        |returned| {
            invalidate(&qps[0], region).expect("G8: its completion was seen");
            let inner = qps.clone();
            bench.control.post.hook.set(move || {
                returned();
                assert_eq!(kind(invalidate(&inner[1], region)), WRONG_STATE, "G8: the second one");
            });
            let (control, inner) = (bench.control.clone(), qps.clone());
            bench.control.posted_hook.set(move || {
                control.complete_all();
                while inner[0].poll().is_some() {}
                invalidate(&inner[1], region).expect("G8: the second one's completion was seen");
            });
            fast_register(&qps[0], region).expect("G8: behind the invalidation");
        },
    );
    end(bench, qps, region);
}

#[test]
fn g8_the_return_of_an_earlier_posting_says_nothing_of_an_invalidation() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    returns_late(
        &bench,
        &qps,
        move |qp| fast_register(qp, region),
        |returned| {
            let inner = qps.clone();
            bench.control.post.hook.set(move || {
                returned();
                assert_eq!(kind(fast_register(&inner[0], region)), WRONG_STATE, "G8");
            });
            invalidate(&qps[0], region).expect("G8: its completion was seen");
        },
    );
    end(bench, qps, region);
}

#[test]
fn g8_the_return_of_an_earlier_bind_says_nothing_of_the_next() {
    let bench = Bench::new();
    let (qps, subject, window) = (qps(&bench), registered(&bench), Arc::new(bench.window()));
    let (region, bound) = (subject.region, window.clone());
    returns_late(
        &bench,
        &qps,
        move |qp| bind(qp, region, &bound),
        |returned| {
            qps[0].invalidate_window(1, &window).expect("G8: the completion was seen");
            complete(&bench, &qps[0], Ok(()));
            let (inner, bound) = (qps.clone(), window.clone());
            bench.control.post.hook.set(move || {
                returned();
                let early = kind(inner[1].invalidate_window(1, &bound));
                assert_eq!(early, WRONG_STATE, "G8: the second bind is being posted");
            });
            bind(&qps[0], region, &window).expect("posted");
        },
    );
    let (inner, bound) = (qps.clone(), window.clone());
    bench.control.complete_all();
    while qps[0].poll().is_some() {}
    qps[0].invalidate_window(1, &window).expect("G8");
    complete(&bench, &qps[0], Ok(()));
    let control = bench.control.clone();
    bench.control.posted_hook.set(move || {
        control.complete_all();
        assert!(inner[0].poll().is_some());
        inner[1].invalidate_window(1, &bound).expect("G8: the completion was seen");
        control.complete_all();
        assert!(inner[0].poll().is_some());
        bind(&inner[1], region, &bound).expect("the window is free");
    });
    bind(&qps[0], region, &window).expect("posted");
    bench.control.peer_invalidates_window();
    assert!(qps[0].poll().is_some());
    bind(&qps[0], region, &window).expect("G9: a peer has invalidated the other one");
    drop(window);
    end(bench, qps, region);
}

#[test]
fn g8_a_region_whose_invalidation_is_being_posted_is_not_registered() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    for hook in [&bench.control.post.hook, &bench.control.posted_hook] {
        fast_register(&qps[0], region).expect("posted");
        complete(&bench, &qps[0], Ok(()));
        let ask = move |qp: &Qp| {
            assert_eq!(kind(invalidate(qp, region)), WRONG_STATE, "G8: twice");
            fast_register(qp, region)
        };
        meanwhile(hook, &qps, ask, [WRONG_STATE; 2]);
        invalidate(&qps[0], region).expect("posted");
        assert_eq!(bench.control.in_flight(), 1);
        fast_register(&qps[0], region).expect("G8: behind the invalidation");
        invalidate(&qps[0], region).expect("G8");
        (0..3).for_each(|_| complete(&bench, &qps[0], Ok(())));
    }
    let (control, inner) = (bench.control.clone(), qps.clone());
    fast_register(&qps[0], region).expect("posted");
    complete(&bench, &qps[0], Ok(()));
    bench.control.posted_hook.set(move || {
        control.complete_all();
        assert!(inner[0].poll().is_some());
        fast_register(&inner[1], region).expect("G8: the invalidation's completion was seen");
    });
    invalidate(&qps[0], region).expect("posted");
    end(bench, qps, region);
}

#[test]
fn g8_a_late_failure_says_nothing_of_the_registrations_after_it() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    fast_register(&qps[0], region).expect("posted");
    invalidate(&qps[0], region).expect("G8");
    fast_register(&qps[0], region).expect("G8: behind the invalidation");
    bench.control.complete(Err(ErrorKind::AccessViolation));
    assert!(qps[0].poll().is_some_and(|completion| completion.result.is_err()));
    invalidate(&qps[0], region).expect("G8: nothing is known of the second one");
    end(bench, qps, region);
}

#[test]
fn g3_a_failed_invalidation_lets_nothing_between_a_posting_and_the_device() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    fast_register(&qps[0], region).expect("posted");
    complete(&bench, &qps[0], Ok(()));
    invalidate(&qps[0], region).expect("G8");
    let (control, inner) = (bench.control.clone(), qps.clone());
    bench.control.post.hook.set(move || {
        // As where a peer was faster, or the queue pair is in error.
        control.complete(Err(ErrorKind::AccessViolation));
        assert!(inner[0].poll().is_some_and(|completion| completion.result.is_err()));
        assert_eq!(kind(initialise(region, &Calls::default())), WRONG_STATE, "G3");
    });
    fast_register(&qps[0], region).expect("G8: behind the invalidation");
    initialise_inline(region);
    end(bench, qps, region);
}

#[test]
fn g8_what_a_peer_has_invalidated_is_not_overtaken_by_what_comes_next() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    for hook in [&bench.control.post.hook, &bench.control.posted_hook] {
        let (control, inner) = (bench.control.clone(), qps.clone());
        hook.set(move || {
            // Perhaps what was registered before this.
            control.peer_invalidates();
            assert!(inner[1].poll().is_some());
            assert_eq!(kind(initialise(region, &Calls::default())), WRONG_STATE, "G3");
            assert_eq!(kind(fast_register(&inner[1], region)), WRONG_STATE, "G7");
            assert_eq!(kind(invalidate(&inner[1], region)), WRONG_STATE, "G8");
        });
        fast_register(&qps[0], region).expect("posted");
        initialise_inline(region);
    }
    end(bench, qps, region);
}

/// A posting that is refused takes back its own step only.
#[test]
fn g10_what_is_refused_changes_nothing_that_was_heard_meanwhile() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    let fails_meanwhile = || {
        let (control, inner) = (bench.control.clone(), qps.clone());
        bench.control.post.set(End::Fail);
        bench.control.post.hook.set(move || {
            control.complete(Err(ErrorKind::AccessViolation));
            assert!(inner[0].poll().is_some_and(|completion| completion.result.is_err()));
        });
    };
    let posts_again = || bench.control.post.set(End::Succeed);
    fast_register(&qps[0], region).expect("posted");
    complete(&bench, &qps[0], Ok(()));
    invalidate(&qps[0], region).expect("G8");
    fails_meanwhile();
    assert!(fast_register(&qps[0], region).is_err(), "planted");
    posts_again();
    assert_eq!(kind(fast_register(&qps[1], region)), WRONG_STATE, "G10: the invalidation failed");
    initialise_inline(region);
    fast_register(&qps[0], region).expect("posted");
    fails_meanwhile();
    assert!(invalidate(&qps[0], region).is_err(), "planted");
    posts_again();
    assert_eq!(kind(invalidate(&qps[1], region)), WRONG_STATE, "G8: the registration failed");
    initialise_inline(region);
    end(bench, qps, region);
}

#[test]
fn g9_an_invalidation_that_is_refused_does_not_bring_back_what_a_peer_has_invalidated() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    fast_register(&qps[0], region).expect("posted");
    complete(&bench, &qps[0], Ok(()));
    let (control, inner) = (bench.control.clone(), qps.clone());
    bench.control.post.set(End::Fail);
    bench.control.post.hook.set(move || {
        control.peer_invalidates();
        assert!(inner[0].poll().is_some());
    });
    assert!(invalidate(&qps[0], region).is_err(), "planted");
    bench.control.post.set(End::Succeed);
    fast_register(&qps[0], region).expect("G7: nothing is registered");
    invalidate(&qps[0], region).expect("G8: the next one is");
    end(bench, qps, region);
}

#[test]
fn g10_a_peers_invalidation_does_not_undo_what_was_heard_of_what_came_behind_it() {
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    fast_register(&qps[0], region).expect("posted");
    complete(&bench, &qps[0], Ok(()));
    invalidate(&qps[0], region).expect("G8");
    fast_register(&qps[0], region).expect("G8: behind the invalidation");
    for _ in 0..2 {
        bench.control.complete(Err(ErrorKind::Cancelled));
        assert!(qps[0].poll().is_some());
    }
    // It has made the invalidation fail, and is polled last.
    bench.control.peer_invalidates();
    assert!(qps[0].poll().is_some());
    assert_eq!(kind(fast_register(&qps[1], region)), WRONG_STATE, "G10");
    initialise_inline(region);
    end(bench, qps, region);
}

#[test]
fn g9_a_window_that_a_peer_has_invalidated_is_free_once_the_invalidation_here_is_over() {
    for result in [Ok(()), Err(ErrorKind::AccessViolation)] {
        let bench = Bench::new();
        let (qps, subject, window) = (qps(&bench), registered(&bench), bench.window());
        let region = subject.region;
        bind(&qps[0], region, &window).expect("posted");
        complete(&bench, &qps[0], Ok(()));
        qps[0].invalidate_window(1, &window).expect("posted");
        bench.control.peer_invalidates_window();
        assert!(qps[0].poll().is_some());
        // The device would end the next binding by what is in flight.
        assert_eq!(kind(bind(&qps[1], region, &window)), WRONG_STATE, "G8");
        assert_eq!(kind(subject.deregister()), Some(ErrorKind::DeviceBusy), "D2");
        bench.control.complete(result);
        assert!(qps[0].poll().is_some());
        bind(&qps[1], region, &window).expect("the window is free");
        // One that is refused is over, too.
        complete(&bench, &qps[1], Ok(()));
        bench.control.post.set(End::Fail);
        let (control, inner) = (bench.control.clone(), qps.clone());
        bench.control.post.hook.set(move || {
            control.peer_invalidates_window();
            assert!(inner[0].poll().is_some());
        });
        assert!(qps[1].invalidate_window(1, &window).is_err(), "planted");
        bench.control.post.set(End::Succeed);
        assert_eq!(subject.deregister(), Ok(Progress::Done), "D2: nothing is bound");
        drop(window);
        end(bench, qps, region);
    }
}

/// The device gives one key to all: the other region has it while the first is initialised anew.
#[test]
fn g9_a_posting_that_returns_during_an_initialisation_leaves_the_token_to_who_has_it() {
    let bench = Bench::new();
    let (qps, region, other) = (qps(&bench), bench.fast_region(), bench.fast_region());
    returns_late(
        &bench,
        &qps,
        move |qp| fast_register(qp, region),
        |returned| {
            invalidate(&qps[0], region).expect("G8");
            complete(&bench, &qps[0], Ok(()));
            fast_register(&qps[0], other).expect("posted");
            complete(&bench, &qps[0], Ok(()));
            bench.control.initialise.hook.set(returned);
            initialise_inline(region);
        },
    );
    bench.control.peer_invalidates();
    assert!(qps[0].poll().is_some());
    fast_register(&qps[0], other).expect("G9: a peer has invalidated the other one");
    close(other);
    end(bench, qps, region);
}

/// What happens while a waker is cloned.
type Meanwhile = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A waker of no use, whose first clone does something.
fn meddling_waker(meanwhile: &'static Meanwhile) -> Waker {
    fn clone(data: *const ()) -> RawWaker {
        // SAFETY: the data of each of these wakers is a `Meanwhile` that lives for ever.
        let meanwhile = unsafe { &*data.cast::<Meanwhile>() };
        let first = meanwhile.lock().unwrap().take();
        if let Some(first) = first {
            first();
        }
        RawWaker::new(data, &TABLE)
    }
    static TABLE: RawWakerVTable = RawWakerVTable::new(clone, |_| (), |_| (), |_| ());
    // SAFETY: the functions are for any thread, and free nothing.
    unsafe { Waker::from_raw(RawWaker::new((&raw const *meanwhile).cast(), &TABLE)) }
}

#[test]
fn b8_who_begins_to_wait_finds_what_became_ready_meanwhile() {
    static MEANWHILE: Meanwhile = Mutex::new(None);
    let bench = Bench::new();
    let (qps, region) = (qps(&bench), bench.fast_region());
    let (arrived, came) = mpsc::channel();
    let (go, gone) = mpsc::channel();
    bench.control.post.hook.set(move || {
        arrived.send(()).unwrap();
        gone.recv().unwrap();
    });
    let qp = qps[0].clone();
    let poster = thread::spawn(move || fast_register(&qp, region).expect("posted"));
    came.recv().unwrap();
    bench.control.set_trap(Trap::PollCompletion);
    assert_eq!(qps[0].poll(), None, "B8: it is being posted");
    *bench.control.trap.lock().unwrap() = None;
    *MEANWHILE.lock().unwrap() = Some(Box::new(move || {
        go.send(()).unwrap();
        poster.join().unwrap();
    }));
    let waker = meddling_waker(&MEANWHILE);
    let polled = qps[0].poll_completion(&mut Context::from_waker(&waker));
    assert!(polled.is_ready(), "B8: it was posted before this began to wait");
    initialise_inline(region);
    end(bench, qps, region);
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// What a panic elsewhere poisons completes once the device can no longer come to it, and who waits hears of it.
#[test]
fn b8_what_is_being_posted_completes_with_a_poisoning_after_its_posting() {
    type Post = fn(&Qp, Region, &Window) -> Result<()>;
    let posts: [Post; 3] = [
        |qp, region, _| fast_register(qp, region),
        |qp, region, _| invalidate(qp, region),
        |qp, _, window| qp.invalidate_window(1, window),
    ];
    for (number, post) in posts.into_iter().enumerate() {
        let bench = Bench::new();
        let (qps, subject) = (qps(&bench), registered(&bench));
        let (region, window) = (bench.fast_region(), bench.window());
        bind(&qps[1], subject.region, &window).expect("posted");
        if number == 1 {
            fast_register(&qps[1], region).expect("posted");
        }
        bench.control.complete_all();
        while qps[1].poll().is_some() {}
        let (control, inner, woken) = (bench.control.clone(), qps.clone(), Arc::<Woken>::default());
        let flag = woken.clone();
        bench.control.post.hook.set(move || {
            control.set_trap(Trap::PollCompletion);
            let waker = Waker::from(flag.clone());
            let mut cx = Context::from_waker(&waker);
            assert!(inner[0].poll_completion(&mut cx).is_pending(), "B8: it is being posted");
            *control.trap.lock().unwrap() = None;
            flag.0.store(false, Ordering::Release);
            if number < 2 {
                assert_eq!(kind(initialise(region, &Calls::default())), WRONG_STATE, "G3");
            }
        });
        post(&qps[0], region, &window).expect("posted");
        assert!(woken.0.load(Ordering::Acquire), "who waits hears of it");
        let completion = qps[0].poll().expect("B8: what was posted completes");
        assert_eq!(completion.result, Err(ErrorKind::Internal), "B8");
        assert_eq!(qps[0].poll(), None, "B2");
        initialise_inline(region);
        drop(window);
        close(subject.region);
        end(bench, qps, region);
    }
}

/// A region for conventional registration that is registered.
fn registered(bench: &Bench) -> Subject {
    *bench.control.at_once.lock().unwrap() = Some(End::Succeed);
    let subject = Subject::new(bench);
    assert_eq!(subject.register(), Ok(Progress::Done));
    subject
}

#[test]
fn g8_a_window_that_is_being_bound_is_not_invalidated() {
    let bench = Bench::new();
    let (qps, subject, window) = (qps(&bench), registered(&bench), Arc::new(bench.window()));
    let region = subject.region;
    for hook in [&bench.control.post.hook, &bench.control.posted_hook] {
        let inner = window.clone();
        meanwhile(hook, &qps, move |qp| qp.invalidate_window(1, &inner), [WRONG_STATE; 2]);
        bind(&qps[0], region, &window).expect("posted");
        assert_eq!(bench.control.in_flight(), 1);
        let elsewhere = kind(qps[1].invalidate_window(1, &window));
        assert_eq!(elsewhere, WRONG_STATE, "G8: the device may come to it first");
        qps[0].invalidate_window(1, &window).expect("G8: behind the bind, on its queue pair");
        complete(&bench, &qps[0], Ok(()));
        complete(&bench, &qps[0], Ok(()));
    }
    let (control, inner, bound) = (bench.control.clone(), qps.clone(), window.clone());
    bench.control.posted_hook.set(move || {
        control.complete_all();
        assert!(inner[0].poll().is_some());
        inner[1].invalidate_window(1, &bound).expect("G8: its completion was seen");
        control.complete_all();
        assert!(inner[0].poll().is_some());
    });
    bind(&qps[0], region, &window).expect("posted");
    bind(&qps[0], region, &window).expect("the window is free");
    drop(window);
    end(bench, qps, region);
}
