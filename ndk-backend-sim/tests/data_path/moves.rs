//! Bytes that arrive: reads, writes, sends, over every shape of memory.

use super::LOCAL;
use super::common::{Memory, Net, loopback, sge};
use ndk_core::abi::*;
use ndk_core::{ErrorKind, RemoteAddress};

const WRITABLE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_WRITE;
const READABLE: ULONG = NDK_MR_FLAG_ALLOW_REMOTE_READ;

#[test]
fn a_write_and_a_read_cross_pages_joints_and_offsets() {
    let net = Net::new();
    let Net { here, there, qp, .. } = &net;
    for length in [1, 4095, 4096, 4097, 20_000, 70_000] {
        let (source, sink) = (Memory::scattered(length), Memory::scattered(length));
        let sent = source.fill(0x55);
        sink.fill(0xAA);
        let (local, remote) =
            (here.registered(&source, LOCAL), there.registered(&sink, WRITABLE | READABLE));
        let all = sge(local.local(), source.base(), length as u32);
        assert_eq!(qp.write_through(all, remote.remote(), sink.base()), Ok(length as u32));
        assert!(sink.bytes() == sent, "{length} bytes written");
        source.fill(0x11);
        assert_eq!(qp.read_through(all, remote.remote(), sink.base()), Ok(length as u32));
        assert!(source.bytes() == sent, "{length} bytes read");
        assert!(sink.surroundings_are(0xAA) && source.surroundings_are(0x11), "C9: {length}");
        local.close();
        remote.close();
    }
    let counters = net.b.sim().counters();
    let total = 1 + 4095 + 4096 + 4097 + 20_000 + 70_000;
    assert_eq!((counters.bytes_written, counters.bytes_read), (total, total));
    assert_eq!(net.a.sim().counters().completions(None), 12);
    net.finish([]);
}

#[test]
fn elements_are_filled_one_after_another_whatever_they_are_of() {
    let net = Net::new();
    let Net { here, there, qp, .. } = &net;
    let (first, second, far) =
        (Memory::scattered(9000), Memory::new(5000), Memory::scattered(12_000));
    let (one, two) = (first.fill(1), second.fill(2));
    far.fill(3);
    let (m1, m2) = (here.registered(&first, LOCAL), here.registered(&second, LOCAL));
    let remote = there.registered(&far, WRITABLE | READABLE);
    let list = [
        sge(m1.local(), first.base() + 100, 5000),
        sge(m2.local(), second.base() + 7, 0),
        sge(m2.local(), second.base() + 1, 4097),
        sge(m1.local(), first.base() + 8000, 1000),
    ];
    let gathered = [&one[100..5100], &two[1..4098], &one[8000..9000]].concat();
    let target = RemoteAddress { address: far.base() + 333, token: remote.remote() };
    qp.write(1, &list, target).unwrap();
    assert_eq!(qp.outcome(), Ok(10_097));
    assert!(far.bytes()[333..333 + 10_097] == gathered, "gathered");
    first.fill(4);
    second.fill(5);
    qp.read(2, &list, target).unwrap();
    assert_eq!(qp.outcome(), Ok(10_097));
    let read = [&first.bytes()[100..5100], &second.bytes()[1..4098], &first.bytes()[8000..]];
    assert!(read.concat() == gathered, "scattered");
    net.finish([m1, m2, remote]);
}

#[test]
fn a_message_fills_the_elements_of_a_receive_in_order() {
    let net = Net::new();
    let Net { here, there, qp, peer, .. } = &net;
    let (source, sink) = (Memory::scattered(10_000), Memory::scattered(16_000));
    let sent = source.fill(6);
    let before = sink.fill(7);
    let (from, to) = (here.registered(&source, 0), there.registered(&sink, LOCAL));
    // A receive that is longer than the message, and messages of elements that end elsewhere than those of the receive.
    let into = |at: u64| {
        let element = |at, length| sge(to.local(), sink.base() + at, length);
        [element(at, 10), element(at + 4000, 3000), element(at + 100, 900)]
    };
    peer.receive(11, &into(0)).unwrap();
    peer.receive(12, &into(8000)).unwrap();
    peer.receive(13, &[]).unwrap();
    let out = |at, length| sge(from.local(), source.base() + at, length);
    qp.send(21, &[out(1, 1), out(2000, 3000)], None).unwrap();
    qp.send(22, &[out(0, 3910)], None).unwrap();
    qp.send(23, &[], None).unwrap();
    for (receive, send, bytes) in [(11, 21, 3001), (12, 22, 3910), (13, 23, 0)] {
        let (received, completed) = (peer.next(), qp.next());
        assert_eq!((received.id.context, completed.id.context), (receive, send));
        assert_eq!((received.result, received.bytes), (Ok(()), bytes));
        assert_eq!((completed.result, completed.bytes), (Ok(()), bytes));
        assert_eq!(received.invalidated, None);
    }
    let mut model = before;
    let message = [&sent[1..2], &sent[2000..5000]].concat();
    model[..10].copy_from_slice(&message[..10]);
    model[4000..6991].copy_from_slice(&message[10..]);
    model[8000..8010].copy_from_slice(&sent[..10]);
    model[12_000..15_000].copy_from_slice(&sent[10..3010]);
    model[8100..9000].copy_from_slice(&sent[3010..3910]);
    assert!(sink.bytes() == model, "messages went where their receives said");
    net.finish([from, to]);
}

#[test]
fn a_message_without_a_receive_or_with_too_small_a_one_breaks_both_ends() {
    for room in [None, Some(99)] {
        let net = Net::new();
        let Net { here, there, qp, peer, .. } = &net;
        let memory = Memory::new(200);
        let (from, to) = (here.registered(&memory, LOCAL), there.registered(&memory, LOCAL));
        memory.fill(9);
        let before = memory.bytes();
        if let Some(room) = room {
            peer.receive(1, &[sge(to.local(), memory.base() + 100, room)]).unwrap();
        }
        qp.send(2, &[sge(from.local(), memory.base(), 100)], None).unwrap();
        let expected = match room {
            None => ErrorKind::RemoteResources,
            Some(_) => {
                assert_eq!(peer.next().result, Err(ErrorKind::BufferTooSmall));
                ErrorKind::BufferTooSmall
            }
        };
        assert_eq!(qp.outcome(), Err(expected));
        assert_eq!(memory.bytes(), before, "nothing moved");
        assert!(qp.is_broken() && peer.is_broken(), "F6");
        net.finish([from, to]);
    }
}

#[test]
fn a_queue_pair_that_is_its_own_peer_moves_bytes_between_two_regions() {
    let net = Net::new();
    let pd = &net.here;
    let qp = loopback(pd);
    let (source, sink) = (Memory::scattered(9000), Memory::scattered(9000));
    let sent = source.fill(8);
    sink.fill(9);
    let (from, to) = (pd.registered(&source, 0), pd.registered(&sink, WRITABLE | READABLE));
    let all = sge(from.local(), source.base(), 9000);
    assert_eq!(qp.write_through(all, to.remote(), sink.base()), Ok(9000));
    assert!(sink.bytes() == sent);
    sink.fill(10);
    qp.receive(5, &[sge(to.local(), sink.base(), 9000)]).unwrap();
    qp.send(6, &[all], None).unwrap();
    assert_eq!((qp.next().id.context, qp.next().id.context), (5, 6));
    assert!(sink.bytes() == sent);
    // Both ends in one region.
    let inside = sge(to.local(), sink.base(), 4000);
    assert_eq!(qp.write_through(inside, to.remote(), sink.base() + 4500), Ok(4000));
    assert_eq!(sink.bytes()[4500..8500], sent[..4000]);
    qp.close();
    net.finish([from, to]);
}

#[test]
fn requests_take_effect_in_the_order_of_their_posting() {
    let net = Net::new();
    let Net { here, there, qp, .. } = &net;
    let (source, sink) = (Memory::new(64), Memory::new(64));
    let (from, to) =
        (here.registered(&source, LOCAL), there.registered(&sink, WRITABLE | READABLE));
    let target = RemoteAddress { address: sink.base(), token: to.remote() };
    for round in 0..40_u8 {
        source.write(0, &[round]);
        qp.write(round.into(), &[sge(from.local(), source.base(), 1)], target).unwrap();
        qp.read(round.into(), &[sge(from.local(), source.base() + 1, 1)], target).unwrap();
        assert_eq!(source.bytes()[1], round);
    }
    for round in 0..40 {
        assert_eq!((qp.next().id.context, qp.next().id.context), (round, round));
    }
    net.finish([from, to]);
}
