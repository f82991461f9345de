//! The fabric: how the queue pairs of several adapters find each other.

use crate::queue_pair::Shared;
use ndk_core::{Endpoint, Error, ErrorKind, Result};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};

/// A network of simulated adapters: adapters made with the same fabric reach each other, and themselves.
#[derive(Clone, Debug, Default)]
pub struct Fabric(Arc<Net>);

#[derive(Debug, Default)]
struct Net {
    queue_pairs: Mutex<HashMap<u64, Port>>,
    last: AtomicU64,
}

/// A queue pair on the fabric.
#[derive(Debug)]
struct Port {
    queue_pair: Weak<Shared>,
    /// Whether a connect has asked that is not over.
    asked: bool,
    /// Whom it wants to be connected to, and who waits for that.
    wants: Option<(u64, Waker)>,
    /// Who waits to be connected to it.
    wanted_by: BTreeSet<u64>,
    connected: bool,
}

impl Port {
    fn wants_to(&self, number: u64) -> bool {
        self.wants.as_ref().is_some_and(|(whom, _)| *whom == number)
    }
}

/// The wakers of those that want to be connected to a queue pair, in the order of their making.
fn take_wakers(ports: &mut HashMap<u64, Port>, number: u64) -> Vec<Waker> {
    let port = ports.get_mut(&number);
    let wanted_by = port.map(|port| std::mem::take(&mut port.wanted_by)).unwrap_or_default();
    let wants = |asker| ports.get_mut(&asker).filter(|port| port.wants_to(number))?.wants.take();
    wanted_by.into_iter().filter_map(wants).map(|(_, waker)| waker).collect()
}

fn refuse(kind: ErrorKind, cause: &'static str) -> Error {
    Error::new(kind, cause)
}

impl Fabric {
    /// A fabric of its own.
    pub fn new() -> Self {
        Self::default()
    }

    /// A number for a queue pair; never 0, never used twice.
    pub(crate) fn next_number(&self) -> u64 {
        self.0.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn attach(&self, number: u64, queue_pair: Weak<Shared>) {
        let port = Port {
            queue_pair,
            asked: false,
            wants: None,
            wanted_by: BTreeSet::new(),
            connected: false,
        };
        self.0.queue_pairs.lock().insert(number, port);
    }

    pub(crate) fn detach(&self, number: u64) {
        let mut ports = self.0.queue_pairs.lock();
        // Who wants to connect to it learns that it is not there any more.
        let wakers = take_wakers(&mut ports, number);
        let gone = ports.remove(&number);
        drop(ports);
        drop(gone);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// The text by which a peer finds a queue pair: the fabric's identity and the number.
    pub(crate) fn endpoint(&self, number: u64) -> Endpoint {
        Endpoint(format!("sim:{:x}/{number}", self.identity()))
    }

    fn identity(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    fn parse(&self, endpoint: &Endpoint) -> Result<u64> {
        let number = endpoint.0.strip_prefix("sim:").and_then(|rest| {
            let (identity, number) = rest.split_once('/')?;
            let here = usize::from_str_radix(identity, 16).ok()? == self.identity();
            number.parse().ok().filter(|_| here)
        });
        number.ok_or_else(|| {
            refuse(ErrorKind::ConnectionRefused, "the endpoint is none of this simulator's fabric")
        })
    }

    /// A queue pair has ended: who waits to be connected to it hears of it, and so does it itself where it waits. Called
    /// without a queue's lock.
    pub(crate) fn ended(&self, number: u64) {
        let mut ports = self.0.queue_pairs.lock();
        let mut wakers = take_wakers(&mut ports, number);
        let own = ports.get_mut(&number).and_then(|port| port.wants.take());
        wakers.extend(own.map(|(_, waker)| waker));
        drop(ports);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Connects `number` to the peer, when the peer wants the same.
    pub(crate) async fn connect(&self, number: u64, peer: &Endpoint) -> Result<()> {
        let peer = self.parse(peer)?;
        let mut asks = Asks { fabric: self, number, peer, asked: false };
        poll_fn(|cx| {
            // Wakers are foreign code: this one is cloned, and an earlier one dropped, without the lock. So are the queue
            // pairs, which may have been closed meanwhile.
            let (waker, _earlier, here, there);
            waker = cx.waker().clone();
            let mut ports = self.0.queue_pairs.lock();
            let Some(other) = ports.get(&peer) else {
                let cause = "the peer's queue pair does not exist";
                return Poll::Ready(Err(refuse(ErrorKind::ConnectionRefused, cause)));
            };
            let (taken, willing) = (other.connected, other.wants_to(number));
            there = other.queue_pair.upgrade();
            let Some(own) = ports.get_mut(&number) else {
                let cause = "the queue pair is closed";
                return Poll::Ready(Err(refuse(ErrorKind::ConnectionInvalid, cause)));
            };
            if own.connected {
                return Poll::Ready(Ok(()));
            }
            here = own.queue_pair.upgrade();
            let (Some(here), Some(there)) = (&here, &there) else {
                let cause = "a queue pair is being closed";
                return Poll::Ready(Err(refuse(ErrorKind::ConnectionRefused, cause)));
            };
            // Whoever ends one of them comes here afterwards, and then finds what there is to be woken, or the peer.
            here.check_connectable()?;
            if own.asked && !asks.asked {
                let cause = "the queue pair is being connected";
                return Poll::Ready(Err(refuse(ErrorKind::ConnectionInvalid, cause)));
            }
            if taken {
                let cause = "the peer's queue pair is connected to another";
                return Poll::Ready(Err(refuse(ErrorKind::ConnectionRefused, cause)));
            }
            if there.is_broken() {
                let cause = "the peer's queue pair is in error";
                return Poll::Ready(Err(refuse(ErrorKind::ConnectionRefused, cause)));
            }
            (own.asked, asks.asked) = (true, true);
            _earlier = own.wants.replace((peer, waker));
            if let Some(port) = ports.get_mut(&peer) {
                port.wanted_by.insert(number);
            }
            if !willing && peer != number {
                return Poll::Pending;
            }
            let linked = Shared::link(here, there);
            let mut wakers = Vec::new();
            if linked.is_ok() {
                for side in [number, peer] {
                    // Who else wants to connect to it learns that it is taken.
                    wakers.extend(take_wakers(&mut ports, side));
                    if let Some(port) = ports.get_mut(&side) {
                        port.connected = true;
                    }
                }
            }
            drop(ports);
            wakers.into_iter().for_each(Waker::wake);
            Poll::Ready(linked)
        })
        .await
        .inspect(|()| std::mem::forget(asks))
    }

    /// Whether a queue pair was connected.
    pub(crate) fn is_connected(&self, number: u64) -> bool {
        self.0.queue_pairs.lock().get(&number).is_some_and(|port| port.connected)
    }
}

/// A connect: one that is given up is no longer wanted.
struct Asks<'a> {
    fabric: &'a Fabric,
    number: u64,
    peer: u64,
    /// Whether it is the one that the queue pair's port says has asked.
    asked: bool,
}

impl Drop for Asks<'_> {
    fn drop(&mut self) {
        if !self.asked {
            return;
        }
        let mut ports = self.fabric.0.queue_pairs.lock();
        let wanted = ports.get_mut(&self.number).and_then(|port| {
            port.asked = false;
            port.wants.take()
        });
        if let Some(port) = ports.get_mut(&self.peer) {
            port.wanted_by.remove(&self.number);
        }
        drop(ports);
        drop(wanted);
    }
}
