//! A queue pair and a window of the layer's.

use super::notes::{End, Registered};
use super::region::BrokenMr;
use super::{Fast, Hidden, Request, is_at_once, layer, lock};
use ndk_core::{
    Access, Endpoint, FastMemory, MrProvider, QpProvider, RemoteAddress, RemoteToken, Result, Sge,
    WindowProvider, WorkCompletion, WorkId, WorkKind, WorkRequest,
};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::task::{Context, Poll};

/// The context of the layer's own requests.
const HIDDEN: WorkId = WorkId { context: u64::MAX, tag: u64::MAX };

/// A queue pair under the layer.
pub(crate) struct BrokenQp<Q> {
    pub(super) inner: Q,
    pub(super) end: End,
    /// Completions that were taken from the backend, and not given yet.
    pub(super) ahead: Mutex<VecDeque<WorkCompletion>>,
}

/// A window under the layer.
pub(crate) struct BrokenWindow<W>(pub(super) W);

impl<Q: QpProvider> BrokenQp<Q> {
    fn post_hidden(&self, region: &BrokenMr<Q::Mr>, hidden: Hidden) -> Result<()> {
        let region = &*region.inner;
        match hidden {
            Hidden::Invalidate => self.inner.post(HIDDEN, WorkRequest::InvalidateRegion { region }),
            Hidden::Register(fast) => {
                let (memory, access) = (fast.memory(), fast.access);
                self.inner.post(HIDDEN, WorkRequest::FastRegister { region, memory, access })
            }
        }
    }

    /// Whether a read or a write is, or is said to be, carried out at once.
    fn is_done(
        &self,
        posted: WorkRequest<'_, BrokenMr<Q::Mr>, BrokenWindow<Q::Window>>,
        at_once: impl FnOnce(&Q) -> bool,
    ) -> bool {
        if !is_at_once() || !lock(&self.ahead).is_empty() {
            return false;
        }
        let mut asked = request(0, &posted);
        if layer().post(&self.end, &mut asked).is_err() {
            return false;
        }
        if layer().is_said_to_be_done(&asked) {
            return true;
        }
        let remote = asked.remote.expect("an access");
        if asked.kind == WorkKind::Write && layer().overtakes(&self.end) {
            let write = WorkRequest::Write { local: &asked.local, remote };
            return self.inner.post(HIDDEN, write).is_ok();
        }
        at_once(&self.inner)
    }

    fn next(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        loop {
            let completion = std::task::ready!(self.inner.poll_completion(cx));
            if completion.id != HIDDEN {
                return Poll::Ready(completion);
            }
        }
    }
}

impl Fast {
    fn memory(&self) -> FastMemory<'_> {
        let Self { pages, first_byte, length, base, access: _ } = self;
        FastMemory { pages, first_byte: *first_byte, length: *length, base: *base }
    }
}

/// What the layer may change of a request.
fn request<M: MrProvider, W: WindowProvider>(
    context: u64,
    of: &WorkRequest<'_, BrokenMr<M>, W>,
) -> Request {
    use WorkRequest as R;
    let (mut local, mut remote_address, mut token) = (&[][..], None, None);
    let (mut at, mut bound, mut fast) = (None, None, None);
    match of {
        R::Receive { local: elements } => local = elements,
        R::Send { local: elements, invalidate } => (local, token) = (elements, *invalidate),
        R::Read { local: elements, remote } | R::Write { local: elements, remote } => {
            (local, remote_address) = (elements, Some(*remote));
        }
        R::FastRegister { region, memory, access } => {
            let FastMemory { pages, first_byte, length, base } = *memory;
            fast = Some(Fast { pages: pages.to_vec(), first_byte, length, base, access: *access });
            at = Some(region.note.clone());
        }
        R::InvalidateRegion { region } => at = Some(region.note.clone()),
        R::Bind { region, window, .. } => {
            (at, bound) = (Some(region.note.clone()), window.remote_token());
        }
        R::InvalidateWindow { .. } => {}
    }
    Request {
        context,
        kind: of.kind(),
        local: local.to_vec(),
        remote: remote_address,
        invalidate: token,
        region: at,
        window: bound,
        fast,
    }
}

impl<Q: QpProvider> QpProvider for BrokenQp<Q> {
    type Mr = BrokenMr<Q::Mr>;
    type Window = BrokenWindow<Q::Window>;

    fn endpoint(&self) -> Endpoint {
        self.inner.endpoint()
    }

    async fn connect(&self, peer: &Endpoint) -> Result<()> {
        self.end.connect(&peer.0);
        self.inner.connect(peer).await
    }

    fn post(&self, id: WorkId, posted: WorkRequest<'_, Self::Mr, Self::Window>) -> Result<()> {
        use WorkRequest as R;
        let mut changed = request(id.context, &posted);
        layer().post(&self.end, &mut changed)?;
        let at = match &posted {
            R::FastRegister { region, .. } | R::InvalidateRegion { region } => Some(*region),
            _ => None,
        };
        let (before, after) = layer().around(&self.end, &changed);
        for hidden in before {
            self.post_hidden(at.expect("a region's request"), hidden)?;
        }
        let local = &changed.local[..];
        let remote = |was| changed.remote.unwrap_or(was);
        let access_of = |was: Access| changed.fast.as_ref().map_or(was, |fast| fast.access);
        let inner = match posted {
            R::Receive { .. } => R::Receive { local },
            R::Send { .. } => R::Send { local, invalidate: changed.invalidate },
            R::Read { remote: was, .. } => R::Read { local, remote: remote(was) },
            R::Write { remote: was, .. } => R::Write { local, remote: remote(was) },
            R::FastRegister { region, memory, access } => {
                let memory = changed.fast.as_ref().map_or(memory, Fast::memory);
                R::FastRegister { region: &*region.inner, memory, access: access_of(access) }
            }
            R::InvalidateRegion { region } => R::InvalidateRegion { region: &*region.inner },
            R::Bind { region, window, address, length, access } => {
                R::Bind { region: &*region.inner, window: &window.0, address, length, access }
            }
            R::InvalidateWindow { window } => R::InvalidateWindow { window: &window.0 },
        };
        self.inner.post(id, inner)?;
        for hidden in after {
            self.post_hidden(at.expect("a region's request"), hidden)?;
        }
        if changed.kind == WorkKind::Bind
            && let Some(note) = &changed.region
        {
            note.bind();
        }
        if changed.kind == WorkKind::Invalidate
            && let Some(region) = at
        {
            region.note.end();
        }
        if let (Some(region), Some(fast)) = (at, &changed.fast) {
            let remote = region.inner.remote_token().map_or(0, RemoteToken::get);
            let local = region.inner.local_token().map_or(0, ndk_core::LocalToken::get);
            let Fast { base, length, access, .. } = *fast;
            let End { number: posted_on, domain, .. } = self.end;
            region.note.begin(Registered {
                base,
                length,
                access,
                frame: 0,
                local,
                remote,
                bound: false,
                posted_on,
                domain,
            });
        }
        Ok(())
    }

    fn write_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        let write = WorkRequest::Write { local, remote };
        self.is_done(write, |inner| inner.write_at_once(local, remote))
    }

    fn read_at_once(&self, local: &[Sge], remote: RemoteAddress) -> bool {
        let read = WorkRequest::Read { local, remote };
        self.is_done(read, |inner| inner.read_at_once(local, remote))
    }

    fn poll_completion(&self, cx: &mut Context<'_>) -> Poll<WorkCompletion> {
        let ahead = lock(&self.ahead).pop_front();
        let mut completion = match ahead {
            Some(completion) => completion,
            None => {
                let first = std::task::ready!(self.next(cx));
                match self.next(cx) {
                    Poll::Ready(second) if layer().swaps(first.kind, second.kind) => {
                        lock(&self.ahead).push_back(first);
                        second
                    }
                    Poll::Ready(second) => {
                        lock(&self.ahead).push_back(second);
                        first
                    }
                    Poll::Pending => first,
                }
            }
        };
        layer().completed(&self.end, &mut completion);
        Poll::Ready(completion)
    }

    fn flush(&self) {
        self.inner.flush();
    }

    async fn close(&self) {
        self.end.closed();
        self.inner.close().await;
    }
}

impl<W: WindowProvider> WindowProvider for BrokenWindow<W> {
    fn remote_token(&self) -> Option<RemoteToken> {
        self.0.remote_token()
    }

    async fn close(&self) {
        self.0.close().await;
        layer().window_closed();
    }
}
