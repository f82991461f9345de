//! The route through the safe consumer.
//!
//! A request is a future: what its first poll gives is what the entry returned, and its end, seen where it is woken, is
//! the callback. After a callback before the entry has returned the future is ready at its first poll.

use super::flight::{Ended, Flight, Started, Told};
use super::held::{Held, Objects, rules_out};
use super::route::{Adapter, Change, Mapped, Mr, Pd, Raw, Registration, Route, head};
use super::ticket::Done;
use crate::abi::{
    GUID, NDK_EXTENSION_INTERFACE, NDK_FN_CLOSE_COMPLETION, NDK_FN_CREATE_COMPLETION,
    NDK_FN_REQUEST_COMPLETION, NDK_LOGICAL_ADDRESS, NDK_LOGICAL_ADDRESS_MAPPING, NDK_MR, NDK_PD,
    NDK_VERSION, NTSTATUS, STATUS_PENDING, STATUS_SUCCESS, ULONG,
};
use crate::access::{Access, LocalToken};
use crate::consumer::{Failed, LogicalMapping};
use crate::error::Result;
use crate::mdl::Mdl;
use crate::provider::RegionKind;
use std::future::Future;
use std::mem::{offset_of, size_of};
use std::ptr::with_exposed_provenance_mut;
use std::sync::Arc;

/// The consumer's objects, by their raw pointers.
#[derive(Clone, Default)]
pub(super) struct Consumer(pub(super) Arc<Objects>);

impl Consumer {
    /// What the first poll gives, which may be PENDING.
    fn start(done: impl Told, future: impl Future<Output = Ended> + Send + 'static) -> Ended {
        match Flight::start(future, done.tell()) {
            Started::Pending(_) => Ended::with(STATUS_PENDING),
            Started::Over(ended) => ended,
        }
    }

    /// As `start`, of a request that has the region until it gives another one back.
    fn change(
        &self,
        mr: Mr,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
        future: impl Future<Output = (NTSTATUS, Held)> + Send + 'static,
    ) -> NTSTATUS {
        let objects = self.0.clone();
        let future = async move {
            let (status, held) = future.await;
            objects.put_region(mr, held);
            Ended::with(status)
        };
        match Flight::start(future, done.tell()) {
            Started::Over(ended) => ended.status,
            Started::Pending(flight) => {
                self.0.lent_to(mr, &flight);
                STATUS_PENDING
            }
        }
    }
}

/// What a case sees where the consumer did not give back the memory that it had been given; no provider's status.
const NOT_GIVEN_BACK: NTSTATUS = 0xe000_0001_u32 as i32;

/// The status of a request that gives memory back.
fn given_back(status: NTSTATUS, back: &Mdl, given: &Option<Mdl>) -> NTSTATUS {
    if back.as_ptr() == head(given) { status } else { NOT_GIVEN_BACK }
}

/// Stores the object of a creation that is over.
///
/// # Safety
/// The pointer may be written.
unsafe fn deliver<T>(Ended { status, object }: Ended, out: *mut *mut T) -> NTSTATUS {
    if status == STATUS_SUCCESS {
        // SAFETY: the caller's promise.
        unsafe { out.write(with_exposed_provenance_mut(object)) };
    }
    status
}

fn status(result: Result<()>) -> NTSTATUS {
    result.map_or_else(|error| error.status(), |()| STATUS_SUCCESS)
}

impl Route for Consumer {
    unsafe fn create_pd(
        &self,
        adapter: Adapter,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS {
        let (objects, adapter) = (self.0.clone(), self.0.adapter(adapter));
        let ended = Self::start(done, async move {
            match adapter.create_domain().await {
                Ok(domain) => {
                    let object = objects.put_domain(domain).0.expose_provenance();
                    Ended { object, ..Ended::SUCCESS }
                }
                Err(error) => Ended::with(error.status()),
            }
        });
        // SAFETY: the caller's promise.
        unsafe { deliver(ended, out) }
    }

    unsafe fn close_pd(&self, pd: Pd, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS {
        let domain = self.0.take_domain(pd);
        Self::start(done, async { Ended::with(status(domain.close().await)) }).status
    }

    unsafe fn privileged_token(&self, pd: Pd) -> u32 {
        self.0.domain(pd).privileged_token().map_or(0, LocalToken::get)
    }

    unsafe fn create_mr(
        &self,
        pd: Pd,
        kind: RegionKind,
        done: Done<NDK_FN_CREATE_COMPLETION>,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS {
        let (objects, domain) = (self.0.clone(), self.0.domain(pd));
        let ended = Self::start(done, async move {
            let made = match kind {
                RegionKind::Conventional => domain
                    .create_region()
                    .await
                    .map(|region| (region.as_ndk(), Held::Created(region))),
                RegionKind::FastRegister => domain
                    .create_fast_region()
                    .await
                    .map(|region| (region.as_ndk(), Held::Fast(region))),
            };
            match made {
                Ok((mr, held)) => {
                    objects.put_region(Raw(mr.as_ptr()), held);
                    Ended { object: mr.as_ptr().expose_provenance(), ..Ended::SUCCESS }
                }
                Err(error) => Ended::with(error.status()),
            }
        });
        // SAFETY: the caller's promise.
        unsafe { deliver(ended, out) }
    }

    unsafe fn close_mr(&self, mr: Mr, done: Done<NDK_FN_CLOSE_COMPLETION>) -> NTSTATUS {
        let held = self.0.take_region(mr);
        Self::start(done, async move {
            let closed = match held {
                Held::Created(region) => region.close().await,
                Held::Fast(region) => region.close().await,
                Held::Ready(region) => region.close().await,
                Held::Registered(region, Registration { chain, .. }) => {
                    let closed = region.close().await;
                    return Ended::with(closed.map_or_else(
                        |error| error.status(),
                        |back| given_back(STATUS_SUCCESS, &back, &chain),
                    ));
                }
                Held::Lent(_) => rules_out("the close of a region that a request has"),
            };
            Ended::with(status(closed))
        })
        .status
    }

    unsafe fn register(
        &self,
        mr: Mr,
        registration: Registration,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        let access = match Access::from_flags(registration.flags) {
            Ok(access) => access,
            Err(error) => return error.status(),
        };
        let Held::Created(region) = self.0.lend_region(mr) else { rules_out("register") };
        let memory = registration.chain.clone().expect("Rust has no null");
        self.change(mr, done, async move {
            let registered = if registration.length == memory.len() {
                region.register(memory, access).await
            } else {
                region.register_part(memory, registration.length, access).await
            };
            match registered {
                Ok(region) => (STATUS_SUCCESS, Held::Registered(region, registration)),
                Err(Failed { object: (region, back), error }) => {
                    let status = given_back(error.status(), &back, &registration.chain);
                    (status, Held::Created(region))
                }
            }
        })
    }

    unsafe fn deregister(&self, mr: Mr, done: Done<NDK_FN_REQUEST_COMPLETION>) -> NTSTATUS {
        let Held::Registered(region, registration) = self.0.lend_region(mr) else {
            rules_out("deregister")
        };
        self.change(mr, done, async move {
            match region.deregister().await {
                Ok((region, back)) => {
                    let status = given_back(STATUS_SUCCESS, &back, &registration.chain);
                    (status, Held::Created(region))
                }
                Err(Failed { object, error }) => {
                    (error.status(), Held::Registered(object, registration))
                }
            }
        })
    }

    unsafe fn initialise(
        &self,
        mr: Mr,
        pages: ULONG,
        remote: bool,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        match self.0.lend_region(mr) {
            Held::Fast(region) => self.change(mr, done, async move {
                match region.initialize(pages, remote).await {
                    Ok(region) => (STATUS_SUCCESS, Held::Ready(region)),
                    Err(Failed { object, error }) => (error.status(), Held::Fast(object)),
                }
            }),
            Held::Ready(region) => self.change(mr, done, async move {
                match region.initialize(pages, remote).await {
                    Ok(region) => (STATUS_SUCCESS, Held::Ready(region)),
                    Err(Failed { object, error }) => (error.status(), Held::Ready(object)),
                }
            }),
            _ => rules_out("initialize"),
        }
    }

    fn has(&self, mr: Mr, change: Change) -> bool {
        self.0.with_region(mr, |held| held.has(change))
    }

    unsafe fn abandon_mr(&self, mr: Mr, _: Done<NDK_FN_CLOSE_COMPLETION>) -> Option<NTSTATUS> {
        match self.0.take_region(mr) {
            Held::Lent(flight) => flight.upgrade().expect("a pending request").give_up(),
            held => drop(held),
        }
        None
    }

    unsafe fn abandon_pd(&self, pd: Pd, _: Done<NDK_FN_CLOSE_COMPLETION>) -> Option<NTSTATUS> {
        drop(self.0.take_domain(pd));
        None
    }

    unsafe fn tokens(&self, mr: Mr) -> (u32, u32) {
        self.0.with_region(mr, Held::tokens)
    }

    unsafe fn query_extension(
        &self,
        mr: Mr,
        id: &GUID,
        version: NDK_VERSION,
        out: &mut NDK_EXTENSION_INTERFACE,
    ) -> NTSTATUS {
        let found = self.0.with_region(mr, |held| match held {
            Held::Created(region) => region.query_extension(id, version),
            Held::Registered(region, _) => region.query_extension(id, version),
            Held::Fast(region) => region.query_extension(id, version),
            Held::Ready(region) => region.query_extension(id, version),
            Held::Lent(_) => rules_out("an extension of a region that a request has"),
        });
        status(found.map(|interface| *out = interface))
    }

    unsafe fn build_mapping(
        &self,
        adapter: Adapter,
        arguments: Mapped,
        done: Done<NDK_FN_REQUEST_COMPLETION>,
    ) -> NTSTATUS {
        let Mapped { chain, length, lam, size: _, fbo } = arguments;
        let memory = chain.clone().expect("Rust has no null");
        assert_eq!(length, memory.len(), "a mapping is of all of its memory");
        let (objects, adapter) = (self.0.clone(), self.0.adapter(adapter));
        let (lam, fbo) = (Raw(lam), Raw(fbo));
        Self::start(done, async move {
            match adapter.build_mapping(memory).await {
                Ok(mapping) => {
                    // SAFETY: the caller's promise: the buffers are there until the request is over, which is now.
                    unsafe { tell_of(&mapping, lam, fbo) };
                    objects.put_mapping(lam.0.addr(), mapping);
                    Ended::SUCCESS
                }
                Err(Failed { object: back, error }) => {
                    Ended::with(given_back(error.status(), &back, &chain))
                }
            }
        })
        .status
    }

    unsafe fn release_mapping(
        &self,
        _adapter: Adapter,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
    ) -> NTSTATUS {
        let _memory = self.0.take_mapping(lam.addr()).release();
        STATUS_SUCCESS
    }
}

/// Puts what the mapping says of itself where C has it.
///
/// # Safety
/// There is room for the mapping's pages, and the offset may be written.
unsafe fn tell_of(
    mapping: &LogicalMapping,
    lam: Raw<NDK_LOGICAL_ADDRESS_MAPPING>,
    fbo: Raw<ULONG>,
) {
    let pages = mapping.pages();
    let array = offset_of!(NDK_LOGICAL_ADDRESS_MAPPING, AdapterPageArray);
    // SAFETY: the caller's promise; the fields are written one by one.
    unsafe {
        fbo.0.write(mapping.first_byte());
        (&raw mut (*lam.0).AdapterPageCount).write(pages.len() as ULONG);
        let array = lam.0.cast::<u8>().add(array);
        for (index, &page) in pages.iter().enumerate() {
            array.add(index * size_of::<NDK_LOGICAL_ADDRESS>()).cast::<u64>().write(page);
        }
    }
}
