//! A verified region.

use super::desk::Desk;
use super::holder::Pair;
use super::shadow::{Ending, Shadow, Trying};
use super::tokens::Wrong;
use crate::abi::{GUID, NDK_EXTENSION_INTERFACE, NDK_VERSION};
use crate::access::{Access, LocalToken, RemoteToken};
use crate::error::{Error, ErrorKind, Result};
use crate::mdl::{MdlView, Snapshot};
use crate::platform::Std;
use crate::provider::{MrProvider, RegionKind};
use crate::sync::Mutex;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

/// A region of a verified adapter.
pub struct VerifiedRegion<M> {
    pub(super) inner: M,
    desk: Arc<Desk>,
    shadow: Arc<Shadow>,
    place: usize,
    kind: RegionKind,
    /// After how many deregistrations a token may come back, where that is promised.
    distance: Option<u32>,
    /// How many initialisations have begun. Held while its tokens are noted, so that none begins meanwhile.
    rounds: Mutex<Std, u64>,
}

/// The round of a region for fast registration, and the tokens that it had.
pub(super) struct Before {
    round: u64,
    tokens: Pair,
}

/// A request of the region, which is over when this is dropped, however it came to that.
struct Request<'r>(&'r Desk, &'r Shadow);

impl Drop for Request<'_> {
    fn drop(&mut self) {
        drop(self.1.take_chain());
        self.0.end_request(self.1.id());
    }
}

impl<M: MrProvider> VerifiedRegion<M> {
    pub(super) fn new(inner: M, desk: &Arc<Desk>, kind: RegionKind, distance: Option<u32>) -> Self {
        let shadow = Arc::new(Shadow::new(desk.tokens.enter()));
        let place = desk.shadows.lock().insert(Arc::downgrade(&shadow));
        let rounds = Mutex::new(0);
        Self { inner, desk: desk.clone(), shadow, place, kind, distance, rounds }
    }

    fn id(&self) -> u64 {
        self.shadow.id()
    }

    fn request(&self) -> Request<'_> {
        Request(&self.desk, &self.shadow)
    }

    fn tokens(&self) -> Pair {
        let (local, remote) = (self.inner.local_token(), self.inner.remote_token());
        (local.map_or(0, LocalToken::get), remote.map_or(0, RemoteToken::get))
    }

    /// The tokens of a registration that has just succeeded; false where they cannot be right.
    #[inline]
    fn adopt(&self, access: Access) -> bool {
        let tokens = self.tokens();
        let wrong = self.claim(tokens);
        let is_right = tokens.0 != 0 && (tokens.1 != 0) == access.is_remote() && wrong.is_none();
        if !is_right {
            self.tell_wrong(access, tokens, wrong);
        }
        is_right
    }

    #[cold]
    #[inline(never)]
    fn tell_wrong(&self, access: Access, tokens: Pair, wrong: Option<Wrong>) {
        if tokens.0 == 0 {
            self.tell(vec!["V25", "E1"], "it is registered, and its local token is 0".into());
        }
        match (access.is_remote(), tokens.1) {
            (true, 0) => {
                let did = "it is registered with remote rights, and its remote token is 0";
                self.tell(vec!["V25", "E1"], did.into());
            }
            (false, 1..) => {
                let did = format!("it has no remote rights, and the remote token {:#x}", tokens.1);
                self.tell(vec!["E3", "E1"], did);
            }
            _ => {}
        }
        wrong.into_iter().for_each(|wrong| self.tell_claimed(wrong));
    }

    #[cold]
    fn tell_claimed(&self, wrong: Wrong) {
        match wrong {
            Wrong::Shared(token, other) => {
                let other = self.desk.name_of(other);
                self.tell(
                    vec!["V25", "E2"],
                    format!("its token {token:#x} is that of {other} too"),
                );
            }
            Wrong::TooSoon(token, since) => {
                let did = format!("its token {token:#x} was retired {since} deregistrations ago");
                self.tell(vec!["D4"], did);
            }
        }
    }

    /// A mistake of the provider's.
    fn tell(&self, rules: Vec<&'static str>, did: String) {
        self.desk.provider(rules, self.id(), did);
    }

    /// Makes the tokens the region's.
    #[inline]
    fn claim(&self, tokens: Pair) -> Option<Wrong> {
        let (known, holder) = (&self.desk.tokens, &*self.shadow.holder);
        match self.kind {
            RegionKind::Conventional => known.adopt(holder, tokens, self.distance),
            RegionKind::FastRegister => known.adopt_round(holder, tokens, self.distance),
        }
    }

    pub(super) fn shadow(&self) -> &Arc<Shadow> {
        &self.shadow
    }

    /// A fast registration of these pages is about to be posted; gives its number.
    pub(super) fn begin_use(&self, pages: &[u64]) -> u64 {
        let used = self.desk.mappings.lock().begin(pages);
        self.shadow.begin_use(used)
    }

    /// A fast registration is about to be posted, which may change the token.
    pub(super) fn before_fast_registration(&self) -> Before {
        let round = *self.rounds.lock();
        Before { round, tokens: self.desk.tokens.release(&self.shadow.holder) }
    }

    /// It was posted, or not. Where the region is initialised anew by then, its tokens are that round's.
    pub(super) fn after_fast_registration(&self, before: Before, access: Option<Access>) {
        let (tokens, wrong) = {
            let rounds = self.rounds.lock();
            if *rounds != before.round {
                return;
            }
            let tokens = self.tokens();
            (tokens, self.claim(tokens))
        };
        let before = before.tokens;
        if let Some(wrong) = wrong {
            self.tell_claimed(wrong);
        }
        if access.is_some_and(Access::is_remote) && tokens.1 == 0 {
            let did = "it is fast-registered with remote rights, and its remote token is 0";
            self.tell(vec!["V25", "E4"], did.into());
        }
        if access.is_some() && tokens.0 == 0 {
            let did = "it is fast-registered, and its local token is 0";
            self.tell(vec!["V25", "E1"], did.into());
        }
        self.desk.tokens.retire(&self.shadow.holder, before, tokens);
    }

    /// Compares the chain of a registration that has pended (V8).
    fn check_chain(&self) -> Result<()> {
        let Some(chain) = self.shadow.take_chain() else { return Ok(()) };
        // SAFETY: the consumer keeps the chain until the request's completion, which was not called; what was freed of
        // the hosted ones is kept.
        let Some(did) = (unsafe { chain.changed() }) else { return Ok(()) };
        self.desk.consumer(vec!["V8", "C15"], self.id(), did.to_string());
        self.desk.refuse("V8", did)
    }
}

impl<M: MrProvider> MrProvider for VerifiedRegion<M> {
    async fn register(&self, memory: MdlView<'_>, access: Access) -> Result<()> {
        let _request = self.request();
        if self.shadow.is_leaked() {
            let cause =
                "a registration that was refused could not be taken back; only close is left";
            return Err(Error::new(ErrorKind::Internal, cause).rule("B7"));
        }
        let trying = Trying::new(&self.shadow, memory);
        let register = self.inner.register(memory, access);
        let pended = || self.shadow.keep_chain(Snapshot::of(memory));
        let registered = self.desk.run(self.id(), "register", register, pended).await;
        if let Err(error) = registered {
            // What failed may have failed because of it, so it is looked at all the same.
            return self.check_chain().and(Err(error));
        }
        let checked = self.check_chain();
        let is_right = self.adopt(access);
        let refused = match (checked, is_right || !self.desk.fails()) {
            (Ok(()), true) => {
                trying.succeeded();
                return Ok(());
            }
            (Err(error), _) => error,
            (Ok(()), false) => {
                Error::new(ErrorKind::Internal, "the backend gave wrong tokens").rule("V25")
            }
        };
        trying.succeeded();
        let ending = Ending::of_refused(&self.desk, &self.shadow);
        match self.inner.deregister().await {
            Ok(()) => ending.ended(),
            Err(error) => {
                log::error!("{}: it stays registered: {error}", self.desk.name_of(self.id()));
            }
        }
        Err(refused)
    }

    async fn deregister(&self) -> Result<()> {
        let _request = self.request();
        let ending = Ending::new(&self.desk, &self.shadow);
        self.desk.run(self.id(), "deregister", self.inner.deregister(), || ()).await?;
        ending.ended();
        Ok(())
    }

    /// Not where mistakes fail: what is wrong is taken back, which may have to wait.
    fn register_at_once(&self, memory: MdlView<'_>, access: Access) -> Option<Result<()>> {
        if self.desk.fails() {
            return None;
        }
        let trying = Trying::new(&self.shadow, memory);
        let registered = self.inner.register_at_once(memory, access)?;
        let _request = self.request();
        if registered.is_ok() {
            trying.succeeded();
            self.adopt(access);
        }
        Some(registered)
    }

    fn deregister_at_once(&self) -> Option<Result<()>> {
        let ending = Ending::new(&self.desk, &self.shadow);
        let ended = self.inner.deregister_at_once();
        if let Some(Ok(())) = ended {
            ending.ended();
        }
        if ended.is_some() {
            self.desk.end_request(self.id());
        }
        ended
    }

    async fn initialize_fast_register(&self, pages: u32, remote: bool) -> Result<()> {
        let _request = self.request();
        *self.rounds.lock() += 1;
        let before = self.before_fast_registration();
        let initialise = self.inner.initialize_fast_register(pages, remote);
        let done =
            self.desk.run(self.id(), "initialise fast registration", initialise, || ()).await;
        self.after_fast_registration(before, None);
        if done.is_ok() {
            self.desk.end_use(&self.shadow.end_uses());
        }
        done
    }

    async fn close(&self) -> Result<()> {
        self.desk.tokens.end_for_good(&self.shadow.holder);
        self.desk.run(self.id(), "close", self.inner.close(), || ()).await?;
        self.shadow.let_go();
        self.desk.end_use(&self.shadow.end_uses());
        Ok(())
    }

    fn local_token(&self) -> Option<LocalToken> {
        self.inner.local_token()
    }

    fn remote_token(&self) -> Option<RemoteToken> {
        self.inner.remote_token()
    }

    fn numbered(&self, id: u64) {
        self.shadow.holder.set_id(id);
        self.inner.numbered(id);
    }

    fn query_extension(&self, id: &GUID, version: NDK_VERSION) -> Result<NDK_EXTENSION_INTERFACE> {
        self.inner.query_extension(id, version)
    }
}

impl<M> Drop for VerifiedRegion<M> {
    fn drop(&mut self) {
        self.desk.shadows.lock().remove(self.place);
        self.desk.tokens.leave(&self.shadow.holder);
    }
}

impl<M> fmt::Debug for VerifiedRegion<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedRegion").field("id", &self.shadow.id()).finish_non_exhaustive()
    }
}
