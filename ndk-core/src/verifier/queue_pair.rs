//! A verified queue pair: each request completes once, by tokens that live, and while the mappings live that it names.

use super::desk::Desk;
use super::desks::retired_token;
use super::region::VerifiedRegion;
use super::shadow::Shadow;
use crate::access::{LocalToken, RemoteToken};
use crate::error::{ErrorKind, Result};
use crate::platform::Std;
use crate::provider::{
    Endpoint, QpProvider, Sge, WindowProvider, WorkCompletion, WorkId, WorkKind, WorkRequest,
};
use crate::sync::Mutex;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::{Context, Poll};
use std::collections::HashMap;

/// What tells posted requests apart, as far as it does.
type Key = (u64, u64, WorkKind);

fn key(id: WorkId, kind: WorkKind) -> Key {
    (id.context, id.tag, kind)
}

/// A queue pair of a verified adapter.
pub struct VerifiedQueuePair<Q> {
    inner: Q,
    desk: Arc<Desk>,
    id: AtomicU64,
    /// That of its domain.
    privileged: Option<LocalToken>,
    /// What has not completed.
    posted: Mutex<Std, List>,
    /// The backend has panicked, so that the framework completes what is posted (B8).
    is_poisoned: AtomicBool,
}

#[derive(Default)]
struct List {
    /// How many were added.
    added: u64,
    /// The earliest first.
    requests: HashMap<Key, Vec<Posted>>,
}

/// A request that has not completed.
struct Posted {
    /// Which of all that were added.
    number: u64,
    note: Note,
    /// The mappings that its elements are in.
    used: Vec<u64>,
}

/// What is to be known of a request when it completes.
enum Note {
    Nothing,
    /// A remote token that it goes by, of an earlier registration when it was posted.
    Stale(u32),
    /// A fast registration of a region, by its number there.
    Registers(Arc<Shadow>, u64),
    /// An invalidation.
    Invalidates(Arc<Shadow>),
}

impl List {
    /// Gives the request's number.
    fn add(&mut self, key: Key, note: Note, used: Vec<u64>) -> u64 {
        self.added += 1;
        let number = self.added;
        self.requests.entry(key).or_default().push(Posted { number, note, used });
        number
    }

    /// Takes off the first request that looks like this and is looked for.
    fn take(&mut self, key: Key, is_wanted: impl Fn(&Posted) -> bool) -> Option<Posted> {
        let requests = self.requests.get_mut(&key)?;
        let taken = requests.remove(requests.iter().position(is_wanted)?);
        if requests.is_empty() {
            self.requests.remove(&key);
        }
        Some(taken)
    }
}

/// The backend's code runs. Where that panics, its queue pair is poisoned.
struct Contained<'q, Q>(&'q VerifiedQueuePair<Q>);

impl<Q> Drop for Contained<'_, Q> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.is_poisoned.store(true, Ordering::Release);
            self.0.end_all();
        }
    }
}

impl<Q> VerifiedQueuePair<Q> {
    /// Whatever was posted uses its mappings no more: it never completes, or with the poisoning.
    fn end_all(&self) {
        let posted = core::mem::take(&mut self.posted.lock().requests);
        posted.into_values().flatten().for_each(|request| self.desk.end_use(&request.used));
    }
}

impl<Q: QpProvider> VerifiedQueuePair<Q> {
    pub(super) fn new(inner: Q, desk: &Arc<Desk>, privileged: Option<LocalToken>) -> Self {
        let (id, posted) = (AtomicU64::new(0), Mutex::new(List::default()));
        let is_poisoned = AtomicBool::new(false);
        Self { inner, desk: desk.clone(), id, privileged, posted, is_poisoned }
    }

    fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Takes a request off the list, the first of so many that look the same which is looked for; `None` where there is none.
    /// It uses its mappings no more.
    fn take(&self, key: Key, is_wanted: impl Fn(&Posted) -> bool) -> Option<Note> {
        let Posted { note, used, .. } = self.posted.lock().take(key, is_wanted)?;
        self.desk.end_use(&used);
        Some(note)
    }

    /// The elements of a request that is about to be posted use these mappings (L4).
    fn begin_use(&self, local: &[Sge]) -> Vec<u64> {
        let logical = |element: &&Sge| Some(element.token) == self.privileged;
        let addresses: Vec<u64> =
            local.iter().filter(logical).map(|element| element.address).collect();
        if addresses.is_empty() { addresses } else { self.desk.mappings.lock().begin(&addresses) }
    }

    /// A local token that no live registration has, and an earlier one had (V11).
    fn check_local(&self, local: &[Sge]) -> Result<()> {
        for token in local.iter().map(|element| element.token.get()) {
            if let Some(region) = self.desk.tokens.retired_of(token) {
                let region = self.desk.name_of(region);
                let did = format!(
                    "posted with the local token {token:#x} of an earlier registration of {region}"
                );
                self.desk.consumer(vec!["V11", "F4"], self.id(), did.clone());
                self.desk.refuse("V11", &did)?;
            }
        }
        Ok(())
    }

    /// What a completion says of those that were noted.
    fn completed(&self, note: Note, completion: &WorkCompletion) {
        match (note, completion.result) {
            (Note::Stale(token), Err(ErrorKind::AccessViolation)) => self.check_remote(token),
            (Note::Registers(region, number), Err(_)) => {
                self.desk.end_use(&region.end_use(Some(number)));
            }
            (Note::Invalidates(region), Ok(())) => self.desk.end_use(&region.end_use(None)),
            _ => {}
        }
        let invalidated = completion.invalidated.map(RemoteToken::get);
        if let Some(region) = invalidated.and_then(|token| self.desk.of_remote(token)) {
            self.desk.end_use(&region.end_use(None));
        }
    }

    /// A remote token with which an access was refused (V11).
    fn check_remote(&self, token: u32) {
        if let Some(region) = retired_token(token) {
            let did = format!(
                "reached for the remote token {token:#x} of an earlier registration of {region}"
            );
            self.desk.consumer(vec!["V11", "F4"], self.id(), did);
        }
    }
}

impl<Q: QpProvider> QpProvider for VerifiedQueuePair<Q> {
    type Mr = VerifiedRegion<Q::Mr>;
    type Window = Q::Window;

    fn endpoint(&self) -> Endpoint {
        let _contained = Contained(self);
        self.inner.endpoint()
    }

    async fn connect(&self, peer: &Endpoint) -> Result<()> {
        let _contained = Contained(self);
        self.inner.connect(peer).await
    }

    fn post(&self, id: WorkId, request: WorkRequest<'_, Self::Mr, Self::Window>) -> Result<()> {
        use WorkRequest as R;
        let (key, mut note) = (key(id, request.kind()), Note::Nothing);
        let (mut fast, mut window, mut used) = (None, None, Vec::new());
        match &request {
            R::Receive { local } | R::Send { local, .. } => {
                self.check_local(local)?;
                used = self.begin_use(local);
            }
            R::Read { local, remote } | R::Write { local, remote } => {
                self.check_local(local)?;
                used = self.begin_use(local);
                // One that is live now may be retired before the completion is seen: no mistake of who has posted (D3).
                let token = remote.token.get();
                if retired_token(token).is_some() {
                    note = Note::Stale(token);
                }
            }
            &R::FastRegister { region, memory, access } => {
                let number = region.begin_use(memory.pages);
                note = Note::Registers(region.shadow().clone(), number);
                fast = Some((region, number, region.before_fast_registration(), access));
            }
            &R::InvalidateRegion { region } => note = Note::Invalidates(region.shadow().clone()),
            &R::Bind { window: bound, .. } => window = Some(bound),
            _ => {}
        }
        // Noted before the posting, since its completion may be polled before that returns.
        let request_number = self.posted.lock().add(key, note, used);
        let contained = Contained(self);
        let posted = self.inner.post(id, request.inside(|region| &region.inner));
        drop(contained);
        if self.is_poisoned.load(Ordering::Acquire) {
            self.end_all();
        }
        if posted.is_err() {
            self.take(key, |posted| posted.number == request_number);
        }
        if let Some((region, number, before, access)) = fast {
            if posted.is_err() {
                self.desk.end_use(&region.shadow().end_use(Some(number)));
            }
            region.after_fast_registration(before, posted.is_ok().then_some(access));
        }
        if let Some(token) = window.and_then(WindowProvider::remote_token) {
            // A window's token may be what a region's was.
            self.desk.tokens.forget(token.get());
        }
        posted
    }

    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        loop {
            let contained = Contained(self);
            let polled = self.inner.poll_completion(cx);
            drop(contained);
            let Poll::Ready(completion) = polled else {
                return Poll::Pending;
            };
            let WorkCompletion { id, kind, .. } = completion;
            // The first, since completions come in the order of posting.
            match self.take(key(id, kind), |_| true) {
                Some(note) => {
                    self.completed(note, &completion);
                    return Poll::Ready(completion);
                }
                // Not given on: what it was about may be gone.
                None => {
                    let did = format!(
                        "a {kind:?} with context {:#x} completed that is over, or was never posted",
                        id.context
                    );
                    self.desk.provider(vec!["V20", "B2"], self.id(), did);
                }
            }
        }
    }

    fn flush(&self) {
        let _contained = Contained(self);
        self.inner.flush();
    }

    fn numbered(&self, id: u64) {
        self.id.store(id, Ordering::Relaxed);
        self.inner.numbered(id);
    }

    async fn close(&self) {
        self.desk.run(self.id(), "close", self.inner.close(), || ()).await;
    }
}

/// What has not completed never will.
impl<Q> Drop for VerifiedQueuePair<Q> {
    fn drop(&mut self) {
        self.end_all();
    }
}

impl<Q> fmt::Debug for VerifiedQueuePair<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedQueuePair")
            .field("id", &self.id.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
