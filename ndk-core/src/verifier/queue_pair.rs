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
use core::sync::atomic::{AtomicU64, Ordering};
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
    posted: Mutex<Std, HashMap<Key, Vec<Posted>>>,
}

/// A request that has not completed.
struct Posted {
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

impl<Q: QpProvider> VerifiedQueuePair<Q> {
    pub(super) fn new(inner: Q, desk: &Arc<Desk>, privileged: Option<LocalToken>) -> Self {
        let posted = Mutex::new(HashMap::new());
        Self { inner, desk: desk.clone(), id: AtomicU64::new(0), privileged, posted }
    }

    fn id(&self) -> u64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Takes a request off the list, the one that `place` names of so many that look the same; `None` where there is none. It
    /// uses its mappings no more.
    fn take(&self, key: Key, place: fn(usize) -> usize) -> Option<Note> {
        let mut posted = self.posted.lock();
        let requests = posted.get_mut(&key)?;
        let Posted { note, used } = requests.remove(place(requests.len()));
        if requests.is_empty() {
            posted.remove(&key);
        }
        drop(posted);
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
        self.inner.endpoint()
    }

    async fn connect(&self, peer: &Endpoint) -> Result<()> {
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
                fast = Some((region, region.before_fast_registration(), access));
            }
            &R::InvalidateRegion { region } => note = Note::Invalidates(region.shadow().clone()),
            &R::Bind { window: bound, .. } => window = Some(bound),
            _ => {}
        }
        // Noted before the posting, since its completion may be polled before that returns.
        self.posted.lock().entry(key).or_default().push(Posted { note, used });
        let posted = self.inner.post(id, request.inside(|region| &region.inner));
        if posted.is_err()
            && let Some(Note::Registers(region, number)) = self.take(key, |count| count - 1)
        {
            self.desk.end_use(&region.end_use(Some(number)));
        }
        if let Some((region, before, access)) = fast {
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
            let Poll::Ready(completion) = self.inner.poll_completion(cx) else {
                return Poll::Pending;
            };
            let WorkCompletion { id, kind, .. } = completion;
            // The first, since completions come in the order of posting.
            match self.take(key(id, kind), |_| 0) {
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
        let posted = core::mem::take(&mut *self.posted.lock());
        posted.into_values().flatten().for_each(|request| self.desk.end_use(&request.used));
    }
}

impl<Q> fmt::Debug for VerifiedQueuePair<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedQueuePair")
            .field("id", &self.id.load(Ordering::Relaxed))
            .finish_non_exhaustive()
    }
}
