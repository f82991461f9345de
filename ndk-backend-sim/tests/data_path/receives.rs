//! The receives of a queue pair that goes to error while other threads post to it, send to it and end it (F6): they
//! complete in the order of their posting.

use super::LOCAL;
use super::common::{Memory, Net, Qp, join, sge};
use ndk_core::{ErrorKind, QueueDepths, RemoteAddress, RemoteToken, WorkCompletion};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const FLUSHED: Result<(), ErrorKind> = Err(ErrorKind::Cancelled);

/// What has completed so far.
fn done(qp: &Qp) -> Vec<WorkCompletion> {
    std::iter::from_fn(|| qp.poll()).collect()
}

/// So many that ending them takes longer than it takes another thread to come in between.
const MANY: u64 = 16_000;

/// A queue pair with many receives, and its peer.
fn with_many_receives(net: &Net) -> (Qp, Qp) {
    let depths = QueueDepths { receive: MANY as u32 + 1, ..QueueDepths::default() };
    let (qp, peer) = (Qp::new(&net.here), Qp::with_depths(&net.there, depths));
    join(&qp, &peer);
    (0..MANY).for_each(|context| peer.receive(context, &[]).expect("posted"));
    (qp, peer)
}

/// Has a refusal move both queue pairs to error on another thread; what this one does as soon as it sees that.
fn while_a_refusal_ends_them(qp: &Qp, peer: &Qp, act: impl FnOnce()) -> Vec<WorkCompletion> {
    let nobody = RemoteAddress { address: 0, token: RemoteToken::new(1).expect("a token") };
    thread::scope(|scope| {
        scope.spawn(|| qp.write(1, &[], nobody).expect("posted"));
        let first = loop {
            match peer.poll() {
                Some(first) => break first,
                None => std::hint::spin_loop(),
            }
        };
        act();
        std::iter::once(first).chain(done(peer)).collect()
    })
}

#[test]
fn f6_a_receive_that_is_posted_while_another_thread_ends_the_queue_pair_completes_last() {
    let net = Net::new();
    for round in 0..20 {
        let (qp, peer) = with_many_receives(&net);
        let mut completed = while_a_refusal_ends_them(&qp, &peer, || {
            if round % 2 == 0 {
                peer.flush();
            }
            peer.receive(MANY, &[]).expect("posted");
        });
        completed.extend(done(&peer));
        let contexts = completed.iter().map(|done| done.id.context);
        assert!(contexts.eq(0..=MANY), "F6: each once, in the order of the posting");
        assert!(completed.iter().all(|done| done.result == FLUSHED), "F6");
        [qp, peer].into_iter().for_each(Qp::close);
    }
    net.finish([]);
}

#[test]
fn f6_a_receive_that_is_being_filled_when_its_queue_pair_ends_completes_before_the_next() {
    // Long enough that another thread sees it on its way.
    const LENGTH: usize = 32 << 20;
    let net = Net::new();
    let (source, sink) = (Memory::new(LENGTH), Memory::new(LENGTH));
    let [from, to] = [(&net.here, &source), (&net.there, &sink)].map(|(pd, memory)| {
        let region = pd.registered(memory, LOCAL);
        (sge(region.local(), memory.base(), LENGTH as u32), region)
    });
    let message = |number: u8| {
        source.write(0, &[number]);
        number
    };
    for number in (1..=5).map(message) {
        let (qp, peer) = (Qp::new(&net.here), Qp::new(&net.there));
        join(&qp, &peer);
        peer.receive(1, &[to.0]).expect("posted");
        peer.receive(2, &[]).expect("posted");
        let sent = AtomicBool::new(false);
        let completed = thread::scope(|scope| {
            scope.spawn(|| {
                qp.send(1, &[from.0], None).expect("posted");
                sent.store(true, Ordering::SeqCst);
            });
            // This thread may have slept through all of it.
            while sink.first() != number && !sent.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            assert_eq!(sink.first(), number, "what was sent has come");
            peer.flush();
            done(&peer)
        });
        let completed: Vec<_> = completed
            .into_iter()
            .chain(done(&peer))
            .map(|done| (done.id.context, done.result))
            .collect();
        assert_eq!(completed, [(1, Ok(())), (2, FLUSHED)], "F6: in the order of the posting");
        [qp, peer].into_iter().for_each(Qp::close);
    }
    net.finish([from.1, to.1]);
}
