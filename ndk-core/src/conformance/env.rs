//! What a case works with: one opened adapter, perhaps a second to connect it to, one route to them, one way of
//! completing.
//!
//! Whatever a case does goes through here, so that B1 and B2 are checked on every request of every case, and that
//! nothing is left open, called twice or called late when the case is over.

use super::case::{Device, RouteKind, Span, Way};
use super::control::Control;
use super::desk::{Desk, Spawning};
use super::kit::Kit;
use super::lam::Lam;
use super::memory::Memory;
use super::outcome::Outcome;
use super::route::{Adapter, Mr, Pd, Route};
use super::session::{Opener, Path, Session, Setup};
use super::ticket::{Bell, Done, Routine, Ticket, lock};
use crate::abi::{NDK_VERSION, NTSTATUS, PAGE_SIZE, STATUS_INSUFFICIENT_RESOURCES, ULONG};
use crate::error::Result;
use crate::provider::RegionKind;
use std::sync::{Arc, Mutex};

/// For so many regions at a time every adapter has room; cases that would like more take what they get.
const ROOM: usize = 16;

/// A request that a case has made, perhaps not over yet.
pub(super) struct Issued {
    pub(super) returned: NTSTATUS,
    pub(super) ticket: Arc<Ticket>,
}

/// The surroundings of a running case.
pub(super) struct Env {
    pub(super) route: Arc<dyn Route>,
    pub(super) way: Way,
    pub(super) control: Arc<Control>,
    pub(super) desk: Arc<Desk>,
    pub(super) device: Arc<Device>,
    kit: Arc<Kit>,
    path: Path,
    pub(super) bell: Arc<Bell>,
    pub(super) session: Option<Box<dyn Session>>,
    span: Span,
    /// The second adapter, once it is opened.
    pub(super) peer: Option<Box<dyn Session>>,
    pub(super) tickets: Vec<(Arc<Ticket>, Option<NTSTATUS>)>,
    pub(super) regions: Vec<Mr>,
    pub(super) domains: Vec<Pd>,
    pub(super) mappings: Vec<Lam>,
    memories: Vec<Arc<Memory>>,
    pub(super) leaks: usize,
}

/// A request that is made inside the callback of another one.
pub(super) struct Nested {
    ticket: Arc<Ticket>,
    returned: Arc<Mutex<Option<NTSTATUS>>>,
}

impl Env {
    pub(super) fn new(
        kit: Arc<Kit>,
        device: Arc<Device>,
        (route, way, span): (RouteKind, Way, Span),
    ) -> Result<Self> {
        let (bell, control) = (Bell::new(kit.patience), Arc::<Control>::default());
        let path = Path::new(route);
        let mut env = Self {
            route: kit.opener.route(&path),
            way,
            desk: Desk::new(bell.clone(), control.clone()),
            control,
            device,
            kit,
            path,
            bell,
            session: None,
            span,
            peer: None,
            tickets: Vec::new(),
            regions: Vec::new(),
            domains: Vec::new(),
            mappings: Vec::new(),
            memories: Vec::new(),
            leaks: 0,
        };
        env.session = Some(env.open(env.version())?);
        env.control.set_yields(way != Way::Inline);
        env.desk.set_spawning(if way == Way::Early { Spawning::Inside } else { Spawning::Queue });
        Ok(env)
    }

    /// Whether the route is the one through the safe consumer.
    pub(super) fn is_safe(&self) -> bool {
        matches!(self.path, Path::Consumer(_))
    }

    /// How many of `most` draws a case takes. What a device draws is the same on every route, so that all are taken on
    /// one; elsewhere, and where every request waits, `least` have to do.
    pub(super) fn sample(&self, most: usize, least: usize) -> usize {
        let all = self.device.inline && matches!(self.path, Path::Table);
        if all { most } else { most.min(least) }
    }

    /// The version of NDK that cases work with: the highest that the backend serves.
    pub(super) fn version(&self) -> NDK_VERSION {
        self.device.info.Version
    }

    /// Opens the adapter once more.
    pub(super) fn open(&self, version: NDK_VERSION) -> Result<Box<dyn Session>> {
        self.kit.opener.open(self.setup(version))
    }

    /// Goes on with the adapter of the small region limit (C14); gives the limit.
    pub(super) fn open_small(&mut self) -> usize {
        let kit = self.kit.clone();
        self.open_limited(kit.small.as_ref())
    }

    /// Goes on with the adapter that can pin few pages (C13); gives how many.
    pub(super) fn open_tight(&mut self) -> usize {
        let kit = self.kit.clone();
        self.open_limited(kit.tight.as_ref())
    }

    fn open_limited(&mut self, limited: Option<&(usize, Arc<dyn Opener>)>) -> usize {
        self.close_session();
        let (limit, opener) = limited.expect("the case needs it");
        let limited = opener.open(self.setup(self.version())).expect("the limited adapter opens");
        (self.session, self.route) = (Some(limited), opener.route(&self.path));
        *limit
    }

    fn setup(&self, version: NDK_VERSION) -> Setup {
        let (desk, control, path) = (self.desk.clone(), self.control.clone(), self.path.clone());
        Setup { version, desk, control, path }
    }

    /// The opened adapter, for a case that closes it itself.
    pub(super) fn take_session(&mut self) -> Box<dyn Session> {
        self.session.take().expect("the adapter is open")
    }

    pub(super) fn put_session(&mut self, session: Box<dyn Session>) {
        self.session = Some(session);
    }

    pub(super) fn session(&self) -> &dyn Session {
        &**self.session.as_ref().expect("the adapter is open")
    }

    pub(super) fn adapter(&self) -> Adapter {
        self.session().adapter()
    }

    /// A ticket for a request that the case makes by itself; `returned` is told by [`settle`](Self::settle).
    pub(super) fn ticket(&mut self) -> Arc<Ticket> {
        let ticket = Ticket::new(self.bell.clone());
        self.tickets.push((ticket.clone(), None));
        ticket
    }

    /// As `ticket`, with a null context.
    pub(super) fn null_ticket(&mut self) -> Arc<Ticket> {
        let ticket = Ticket::null(self.bell.clone());
        self.tickets.push((ticket.clone(), None));
        ticket
    }

    /// Makes a request.
    pub(super) fn issue<F: Routine>(
        &mut self,
        entry: impl FnOnce(&dyn Route, Done<F>) -> NTSTATUS,
    ) -> Issued {
        let ticket = self.ticket();
        self.issue_with(ticket, entry)
    }

    /// Makes a request on a ticket that the case prepared.
    pub(super) fn issue_with<F: Routine>(
        &mut self,
        ticket: Arc<Ticket>,
        entry: impl FnOnce(&dyn Route, Done<F>) -> NTSTATUS,
    ) -> Issued {
        let returned = ticket.enter(|| entry(&*self.route, Done::of(&ticket)));
        self.settle(&ticket, returned);
        Issued { returned, ticket }
    }

    /// Notes what the entry returned, for the check at the end.
    pub(super) fn settle(&mut self, ticket: &Arc<Ticket>, returned: NTSTATUS) {
        let known = self.tickets.iter_mut().rev().find(|(known, _)| Arc::ptr_eq(known, ticket));
        known.expect("a ticket of this case").1 = Some(returned);
    }

    /// Plans a request that is made inside the callback of `outer`.
    pub(super) fn nested<F: Routine>(
        &mut self,
        outer: &Ticket,
        entry: impl FnOnce(&dyn Route, Done<F>) -> NTSTATUS + Send + 'static,
    ) -> Nested {
        let nested = Nested { ticket: self.ticket(), returned: Arc::default() };
        let (route, ticket) = (self.route.clone(), nested.ticket.clone());
        let returned = nested.returned.clone();
        outer.on_call(move |_| {
            let status = ticket.enter(|| entry(&*route, Done::of(&ticket)));
            *lock(&returned) = Some(status);
        });
        nested
    }

    /// Runs the executor until a nested request is over; the outer one is.
    #[track_caller]
    pub(super) fn finish_nested(&mut self, nested: Nested) -> Outcome {
        let returned = lock(&nested.returned).expect("the outer request's callback has come");
        self.settle(&nested.ticket, returned);
        self.finish(Issued { returned, ticket: nested.ticket })
    }

    /// A region that a case created by itself and does not close.
    pub(super) fn adopt_region(&mut self, mr: Mr) {
        self.regions.push(mr);
    }

    /// As `adopt_region`.
    pub(super) fn adopt_domain(&mut self, pd: Pd) {
        self.domains.push(pd);
    }

    /// A region that is closed, or that a case closes by itself.
    pub(super) fn forget_region(&mut self, mr: Mr) {
        self.regions.retain(|&region| region != mr);
    }

    /// As `forget_region`.
    pub(super) fn forget_domain(&mut self, pd: Pd) {
        self.domains.retain(|&domain| domain != pd);
    }

    /// A mapping that a case built and does not release.
    pub(super) fn adopt_mapping(&mut self, lam: Lam) {
        self.mappings.push(lam);
    }

    /// A mapping of these pages that a case releases by itself.
    #[track_caller]
    pub(super) fn forget_mapping(&mut self, pages: &[u64]) -> Lam {
        let place = self.mappings.iter_mut().position(|lam| lam.pages() == pages);
        self.mappings.swap_remove(place.expect("a mapping of the case's"))
    }

    /// The one domain that the case has open.
    #[track_caller]
    pub(super) fn only_domain(&self) -> Pd {
        assert_eq!(self.domains.len(), 1, "one domain is open");
        self.domains[0]
    }

    /// A domain.
    #[track_caller]
    pub(super) fn pd(&mut self) -> Pd {
        let adapter = self.adapter();
        self.pd_of(adapter)
    }

    /// A domain of an adapter that another thread has.
    #[track_caller]
    pub(super) fn pd_of(&mut self, adapter: Adapter) -> Pd {
        let (outcome, pd) = self.create_pd_of(adapter);
        outcome.success();
        pd.expect("a domain")
    }

    /// A domain of whoever reaches for memory: of the same adapter, or of the second one.
    #[track_caller]
    pub(super) fn peer_pd(&mut self) -> Pd {
        if self.span == Span::Loopback {
            return self.pd();
        }
        if self.peer.is_none() {
            let opener = self.kit.peer.as_ref().expect("the kit has a pair");
            let peer = opener.open(self.setup(self.version())).expect("the second adapter opens");
            let declared = (peer.capabilities(), self.device.capabilities);
            assert_eq!(declared.0, declared.1, "two adapters of one kind");
            self.peer = Some(peer);
        }
        let adapter = self.peer.as_ref().expect("opened").adapter();
        self.pd_of(adapter)
    }

    /// A region of `pd` for conventional registration.
    #[track_caller]
    pub(super) fn mr(&mut self, pd: Pd) -> Mr {
        self.mr_of(pd, RegionKind::Conventional)
    }

    /// A region of `pd`.
    #[track_caller]
    pub(super) fn mr_of(&mut self, pd: Pd, kind: RegionKind) -> Mr {
        let (outcome, mr) = self.create_mr(pd, kind);
        outcome.success();
        mr.expect("a region")
    }

    /// A region of `pd`, or none where the adapter has no room for more than the case has already, which no attribute
    /// tells beforehand (C14).
    #[track_caller]
    pub(super) fn mr_if_room(&mut self, pd: Pd, kind: RegionKind) -> Option<Mr> {
        let (outcome, mr) = self.create_mr(pd, kind);
        if outcome.status() == STATUS_INSUFFICIENT_RESOURCES && self.regions.len() >= ROOM {
            return None;
        }
        outcome.success();
        mr
    }

    /// A region for conventional registration, in a domain of its own.
    #[track_caller]
    pub(super) fn region(&mut self) -> Mr {
        let pd = self.pd();
        self.mr(pd)
    }

    /// A region for fast registration, in a domain of its own.
    #[track_caller]
    pub(super) fn fast_region(&mut self) -> Mr {
        let pd = self.pd();
        self.mr_of(pd, RegionKind::FastRegister)
    }

    /// A region in a domain of its own, registered over a page.
    #[track_caller]
    pub(super) fn registered(&mut self, flags: ULONG) -> Mr {
        let (mr, page) = (self.region(), self.page());
        self.register(mr, page.all(flags)).success();
        mr
    }

    /// Keeps memory until the case is over and everything closed.
    pub(super) fn keep(&mut self, memory: Memory) -> Arc<Memory> {
        let memory = Arc::new(memory);
        self.memories.push(memory.clone());
        memory
    }

    pub(super) fn memory(&mut self, length: usize, offset: usize) -> Arc<Memory> {
        self.keep(Memory::new(length, offset))
    }

    /// One page.
    pub(super) fn page(&mut self) -> Arc<Memory> {
        self.memory(PAGE_SIZE, 0)
    }
}
