//! Closing, in whatever order.

use crate::common::device;
use crate::fast::Fast;
use crate::world::*;
use ndk_core::{ErrorKind, WorkRequest as R};

/// Every order of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![Vec::new()] };
    let longer = |order: Vec<usize>| {
        (0..count).map(move |place| {
            let mut order = order.clone();
            order.insert(place, last);
            order
        })
    };
    orders(last).into_iter().flat_map(longer).collect()
}

#[test]
fn h3_what_is_in_use_is_closed_in_any_order() {
    let Some(name) = device("NDK_VERBS_DEVICE") else { return };
    let adapter = open(&name);
    let orders = orders(4);
    assert_eq!(orders.len(), 24);
    for order in orders {
        let domains = [pd(&adapter), pd(&adapter)];
        let ports = [queue_pair(&adapter, &domains[0]), queue_pair(&adapter, &domains[1])];
        connect(&ports[0], &ports[1]);
        let own = Registered::new(&adapter, &domains[1], 8192, ALL);
        let target = Registered::new(&adapter, &domains[0], 8192, ALL);
        let fast = Fast::new(&adapter, &domains[0]);
        assert_eq!(carry_out(&ports[0], fast.register(0x1000)), Ok(0));
        // A receive that nothing comes for, and writes that are under way.
        post(&ports[0], 0, R::Receive { local: &[] }).unwrap();
        let local = [own.element(8192)];
        for context in 0..8 {
            let write = R::Write { local: &local, remote: target.at(0) };
            post(&ports[1], context, write).unwrap();
        }
        let [owner, peer] = ports;
        let (mut target, mut fast) = (Some(target), Some(fast));
        let (mut owner, mut peer) = (Some(owner), Some(peer));
        for what in order {
            match what {
                0 => target.take().into_iter().for_each(Registered::close),
                1 => fast.take().into_iter().for_each(|fast| fast.close(&adapter)),
                2 => close(owner.take()),
                _ => {
                    let peer = peer.take().expect("each once");
                    for context in 0..8 {
                        let done = completion(&peer);
                        assert_eq!(done.id.context, context, "in order");
                        let expected =
                            [Ok(()), Err(ErrorKind::AccessViolation), Err(ErrorKind::Cancelled)];
                        assert!(expected.contains(&done.result), "{done:?}");
                    }
                    close([peer]);
                }
            }
        }
        own.close();
        domains.iter().for_each(|domain| close_pd(&adapter, domain));
    }
}
