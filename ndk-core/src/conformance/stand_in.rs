//! Queue pairs that stand in where a provider has tables only: each request is carried out when it is posted, by the
//! provider's hooks, one call for each access. What a queue pair does besides, its order, its messages and what a refusal
//! does to it, is the kit's own, so that no case about that is tried with them.

use super::port::{Port, Waiting, Window};
use super::route::{Mr, Pd};
use super::table_window::TableWindow;
use super::tables::TableProvider;
use super::ticket::lock;
use crate::abi::{NDK_LOGICAL_ADDRESS, NDK_MW, NDK_OBJECT_HEADER, SIZE_T, ULONG};
use crate::access::{Access, RemoteToken};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::{Endpoint, FastMemory, RemoteAddress, Sge, WorkCompletion, WorkId, WorkKind};
use std::collections::{BTreeMap, VecDeque};
use std::future::ready;
use std::ptr::without_provenance_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};

/// The values of `NDK_CONFORMANCE_READ` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Read,
    Write,
    Invalidate,
    Source,
    ReadSink,
    ReceiveSink,
}

/// Every one that there is, by the number that its endpoint names.
static ENDS: Mutex<BTreeMap<u64, Weak<End>>> = Mutex::new(BTreeMap::new());

/// A queue pair.
pub(super) struct StandIn(Arc<End>);

struct End {
    number: u64,
    domain: Pd,
    provider: TableProvider,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    link: Link,
    receives: VecDeque<(u64, Vec<Sge>)>,
    done: VecDeque<WorkCompletion>,
    waker: Option<Waker>,
}

#[derive(Clone, Default)]
enum Link {
    #[default]
    None,
    To(Weak<End>),
    Broken,
}

impl StandIn {
    /// # Safety
    /// The domain is the provider's, and not closed before the last request.
    pub(super) unsafe fn new(provider: TableProvider, domain: Pd) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let end = Arc::new(End { number, domain, provider, state: Mutex::default() });
        lock(&ENDS).insert(number, Arc::downgrade(&end));
        Self(end)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        lock(&ENDS).remove(&self.number);
    }
}

/// Which refusals of an access have no completion, since the request cannot be posted.
fn of_posting(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::InvalidParameter | ErrorKind::DeviceRemoved)
}

/// As `of_posting`, where a region is asked for. Whether one that a hook gives was a completion cannot be told.
fn of_posting_for_a_region(kind: ErrorKind) -> bool {
    kind != ErrorKind::Cancelled
}

/// As `of_posting`, of a bind: one beyond its region is a completion.
fn of_posting_a_bind(kind: ErrorKind) -> bool {
    of_posting_for_a_region(kind) && kind != ErrorKind::AccessViolation
}

fn table_window(window: &dyn Window) -> *mut NDK_MW {
    window.as_any().downcast_ref::<TableWindow>().expect("a window of the provider's").0
}

fn length(local: &[Sge]) -> usize {
    local.iter().map(|element| element.length as usize).sum()
}

// SAFETY of each call of a hook below: whoever made the kit vouches for the provider's functions, and whoever made the
// queue pair for its domain.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
impl End {
    /// One access at this end's memory.
    fn access(&self, kind: Kind, token: u32, address: u64, bytes: &mut [u8]) -> Result<()> {
        let access = self.provider.access.expect("there is no queue pair without");
        let before = bytes.to_vec();
        // No access of a case is of 4 GiB.
        let (length, data) = (bytes.len() as ULONG, bytes.as_mut_ptr().cast());
        let status = unsafe { access(self.domain.0, kind as ULONG, token, address, length, data) };
        let result = Error::check(status, "Access of the provider");
        if result.is_err() || !matches!(kind, Kind::Read | Kind::Source) {
            assert!(*bytes == before[..], "F4: bytes of {kind:?}, which has none to give");
        }
        result
    }

    /// What is in local memory.
    fn gather(&self, local: &[Sge]) -> Result<Vec<u8>> {
        let mut bytes = vec![0; length(local)];
        let mut rest = &mut bytes[..];
        for element in local {
            let (part, others) = rest.split_at_mut(element.length as usize);
            self.access(Kind::Source, element.token.get(), element.address, part)?;
            rest = others;
        }
        Ok(bytes)
    }

    /// Whether a request with this sink can be posted. The right to write there is for later.
    fn look_at(&self, local: &[Sge]) -> Result<()> {
        match self.gather(local) {
            Err(error) if of_posting(error.kind()) => Err(error),
            _ => Ok(()),
        }
    }

    /// Fills local memory from its beginning.
    fn scatter(&self, kind: Kind, local: &[Sge], bytes: &mut [u8]) -> Result<()> {
        let mut rest = bytes;
        for element in local {
            let (part, others) = rest.split_at_mut(rest.len().min(element.length as usize));
            self.access(kind, element.token.get(), element.address, part)?;
            rest = others;
        }
        Ok(())
    }

    fn link(&self) -> Link {
        lock(&self.state).link.clone()
    }

    fn complete(&self, completion: WorkCompletion) {
        let mut state = lock(&self.state);
        state.done.push_back(completion);
        let waker = state.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// Moves the queue pair to error.
    fn break_up(&self) {
        let mut state = lock(&self.state);
        state.link = Link::Broken;
        let receives = std::mem::take(&mut state.receives);
        drop(state);
        for (context, _) in receives {
            self.complete(ended(context, WorkKind::Receive, Err(ErrorKind::Cancelled)));
        }
    }

    /// Carries a request out, whose completion there is when it has been posted.
    fn request(
        &self,
        context: u64,
        kind: WorkKind,
        is_of_posting: fn(ErrorKind) -> bool,
        carry_out: impl FnOnce(&End) -> Result<usize>,
    ) -> Result<()> {
        let peer = match self.link() {
            Link::None => return Err(ErrorKind::ConnectionInvalid.into()),
            Link::To(peer) => peer.upgrade(),
            Link::Broken => None,
        };
        let Some(peer) = peer else {
            self.complete(ended(context, kind, Err(ErrorKind::Cancelled)));
            return Ok(());
        };
        match carry_out(&peer) {
            Ok(bytes) => {
                let bytes = bytes as u32;
                self.complete(WorkCompletion { bytes, ..ended(context, kind, Ok(())) });
            }
            Err(error) if is_of_posting(error.kind()) => return Err(error),
            Err(error) => {
                self.complete(ended(context, kind, Err(error.kind())));
                self.break_up();
                peer.break_up();
            }
        }
        Ok(())
    }

    fn invalidate(&self, context: u64, object: *mut NDK_OBJECT_HEADER) -> Result<()> {
        let invalidate = self.provider.invalidate.expect("the case needs it");
        self.request(context, WorkKind::Invalidate, of_posting_for_a_region, |_| {
            let status = unsafe { invalidate(self.domain.0, object) };
            Error::check(status, "Invalidate of the provider").map(|()| 0)
        })
    }

    /// A message has come from the other end.
    fn take(&self, bytes: &mut [u8], invalidate: Option<RemoteToken>) -> Result<()> {
        let receive = lock(&self.state).receives.pop_front();
        let (context, local) = receive.ok_or(ErrorKind::RemoteResources)?;
        let fits = bytes.len() <= length(&local);
        let taken = if fits {
            self.scatter(Kind::ReceiveSink, &local, bytes)
        } else {
            Err(ErrorKind::BufferTooSmall.into())
        };
        let taken = taken.and_then(|()| match invalidate {
            Some(token) => self.access(Kind::Invalidate, token.get(), 0, &mut []),
            None => Ok(()),
        });
        let result = taken.as_ref().map_or_else(|error| Err(error.kind()), |()| Ok(()));
        let invalidated = invalidate.filter(|_| taken.is_ok());
        let completion = ended(context, WorkKind::Receive, result);
        let bytes = bytes.len() as u32;
        self.complete(WorkCompletion { bytes, invalidated, ..completion });
        taken
    }
}

/// A completion without bytes.
fn ended(context: u64, kind: WorkKind, result: Result<(), ErrorKind>) -> WorkCompletion {
    let id = WorkId { context, tag: 0 };
    WorkCompletion { id, kind, result, bytes: 0, invalidated: None }
}

#[allow(clippy::undocumented_unsafe_blocks)] // as above; the regions are the trait's caller's
impl Port for StandIn {
    fn endpoint(&self) -> Endpoint {
        Endpoint(self.0.number.to_string())
    }

    fn connect<'a>(&'a self, peer: &'a Endpoint) -> Waiting<'a, Result<()>> {
        let peer = peer.0.parse().ok().and_then(|number: u64| lock(&ENDS).get(&number).cloned());
        let connected = peer.ok_or_else(|| ErrorKind::ConnectionRefused.into());
        Box::pin(ready(connected.map(|peer| lock(&self.0.state).link = Link::To(peer))))
    }

    fn receive(&self, context: u64, local: &[Sge]) -> Result<()> {
        if let Link::Broken = self.0.link() {
            self.0.complete(ended(context, WorkKind::Receive, Err(ErrorKind::Cancelled)));
            return Ok(());
        }
        self.0.look_at(local)?;
        lock(&self.0.state).receives.push_back((context, local.to_vec()));
        Ok(())
    }

    fn send(&self, context: u64, local: &[Sge], invalidate: Option<RemoteToken>) -> Result<()> {
        self.0.request(context, WorkKind::Send, of_posting, |peer| {
            let mut bytes = self.0.gather(local)?;
            peer.take(&mut bytes, invalidate)?;
            Ok(bytes.len())
        })
    }

    fn read(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()> {
        self.0.request(context, WorkKind::Read, of_posting, |peer| {
            self.0.look_at(local)?;
            let mut bytes = vec![0; length(local)];
            peer.access(Kind::Read, remote.token.get(), remote.address, &mut bytes)?;
            self.0.scatter(Kind::ReadSink, local, &mut bytes)?;
            Ok(bytes.len())
        })
    }

    fn write(&self, context: u64, local: &[Sge], remote: RemoteAddress) -> Result<()> {
        self.0.request(context, WorkKind::Write, of_posting, |peer| {
            let mut bytes = self.0.gather(local)?;
            peer.access(Kind::Write, remote.token.get(), remote.address, &mut bytes)?;
            Ok(bytes.len())
        })
    }

    unsafe fn fast_register(
        &self,
        context: u64,
        mr: Mr,
        memory: FastMemory<'_>,
        access: Access,
    ) -> Result<()> {
        let register = self.0.provider.fast_register.expect("the case needs it");
        let pages = memory.pages.iter().map(|&page| NDK_LOGICAL_ADDRESS::new(page));
        let pages: Vec<_> = pages.collect();
        self.0.request(context, WorkKind::FastRegister, of_posting_for_a_region, |_| {
            let status = unsafe {
                register(
                    self.0.domain.0,
                    mr.0,
                    pages.len() as ULONG,
                    pages.as_ptr(),
                    memory.first_byte,
                    memory.length as SIZE_T,
                    without_provenance_mut(memory.base as usize),
                    access.flags(),
                )
            };
            Error::check(status, "FastRegister of the provider").map(|()| 0)
        })
    }

    unsafe fn invalidate(&self, context: u64, mr: Mr) -> Result<()> {
        self.0.invalidate(context, mr.0.cast())
    }

    unsafe fn bind(
        &self,
        context: u64,
        mr: Mr,
        window: &dyn Window,
        (address, length): (u64, u64),
        access: Access,
    ) -> Result<()> {
        let bind = self.0.provider.bind.expect("the case needs it");
        self.0.request(context, WorkKind::Bind, of_posting_a_bind, |_| {
            let (domain, window) = (self.0.domain.0, table_window(window));
            let first = without_provenance_mut(address as usize);
            let length = length as SIZE_T;
            let status = unsafe { bind(domain, mr.0, window, first, length, access.flags()) };
            Error::check(status, "Bind of the provider").map(|()| 0)
        })
    }

    fn invalidate_window(&self, context: u64, window: &dyn Window) -> Result<()> {
        self.0.invalidate(context, table_window(window).cast())
    }

    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        let mut state = lock(&self.0.state);
        if let Some(completion) = state.done.pop_front() {
            return Poll::Ready(completion);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll(&self) -> Option<WorkCompletion> {
        lock(&self.0.state).done.pop_front()
    }

    fn flush(&self) {
        self.0.break_up();
    }

    fn close(self: Box<Self>) -> Waiting<'static, ()> {
        Box::pin(ready(()))
    }
}
