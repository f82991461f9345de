//! Sections G and H.

use super::a_to_d::error;
use super::notes::{self, End, Note};
use super::{Fast, Hidden, Layer, Request, lock};
use ndk_core::mdl::MdlView;
use ndk_core::{Access, ErrorKind, Result, WorkCompletion, WorkKind};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "base_zero_is_none" => Box::new(BaseZeroIsNone),
        "most_pages_are_refused" => Box::new(MostPagesAreRefused),
        "no_remote_access_is_no_access" => Box::new(NoRemoteAccessIsNoAccess::default()),
        "unconnected_is_a_state" => Box::new(UnconnectedIsAState),
        "rights_add_up" => Box::new(RightsAddUp::default()),
        "invalidated_region_stays_readable" => Box::new(InvalidatedStaysReadable::default()),
        "fast_completions_overtake" => Box::new(FastCompletionsOvertake),
        "sent_invalidation_is_lost" => Box::new(SentInvalidationIsLost),
        "any_token_is_invalidated" => Box::new(AnyTokenIsInvalidated::default()),
        "flushed_registration_spoils" => Box::new(FlushedRegistrationSpoils::default()),
        "token_stays_on_its_queue_pair" => Box::new(TokenStaysOnItsQueuePair),
        "close_forgets_a_busy_region" => Box::new(CloseForgetsABusyRegion::default()),
        "written_region_outlives_its_close" => Box::new(WrittenOutlivesItsClose::default()),
        _ => return None,
    })
}

struct BaseZeroIsNone;

impl Layer for BaseZeroIsNone {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let zero = request.fast.as_ref().is_some_and(|fast| fast.base == 0);
        if zero { Err(error(ErrorKind::InvalidParameter)) } else { Ok(()) }
    }
}

/// Off by one at the most pages of a fast registration.
struct MostPagesAreRefused;

impl Layer for MostPagesAreRefused {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let most = request.fast.as_ref().is_some_and(|fast| fast.pages.len() == 511);
        if most { Err(error(ErrorKind::InsufficientResources)) } else { Ok(()) }
    }
}

/// A region that was initialised without remote access cannot be registered for local use either.
#[derive(Default)]
struct NoRemoteAccessIsNoAccess(Mutex<HashMap<usize, bool>>);

impl Layer for NoRemoteAccessIsNoAccess {
    fn initialise(&self, region: &Note, remote: bool) -> Result<()> {
        lock(&self.0).insert(region.number, remote);
        Ok(())
    }
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let Some(region) = request.region.as_ref().filter(|_| request.fast.is_some()) else {
            return Ok(());
        };
        let remote = lock(&self.0).get(&region.number).copied();
        if remote == Some(false) { Err(error(ErrorKind::AccessViolation)) } else { Ok(()) }
    }
}

/// Another error for a queue pair that is not connected.
struct UnconnectedIsAState;

impl Layer for UnconnectedIsAState {
    fn post(&self, at: &End, request: &mut Request) -> Result<()> {
        let alone = request.fast.is_some() && !at.is_connected();
        if alone { Err(error(ErrorKind::InvalidDeviceState)) } else { Ok(()) }
    }
}

/// A fast registration has the rights of those before it too.
#[derive(Default)]
struct RightsAddUp(Mutex<HashMap<usize, Access>>);

impl Layer for RightsAddUp {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let (Some(region), Some(fast)) = (&request.region, &mut request.fast) {
            let mut all = lock(&self.0);
            let before = all.get(&region.number).copied().unwrap_or(Access::LOCAL_READ);
            fast.access = fast.access | before;
            all.insert(region.number, fast.access);
        }
        Ok(())
    }
}

/// After an invalidation on its own queue pair, a region of one page can be read still by the peer that read it before.
#[derive(Default)]
struct InvalidatedStaysReadable(Mutex<HashMap<usize, Cached>>);

struct Cached {
    /// The queue pair of the registration; 0 once it is invalidated.
    on: usize,
    read: bool,
    fast: Fast,
}

impl Layer for InvalidatedStaysReadable {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let (WorkKind::Read, Some((note, _))) = (request.kind, request.target())
            && let Some(cached) = lock(&self.0).get_mut(&note.number)
        {
            cached.read = true;
        }
        Ok(())
    }
    fn around(&self, at: &End, request: &Request) -> (Vec<Hidden>, Vec<Hidden>) {
        let Some(region) = &request.region else { return Default::default() };
        let mut known = lock(&self.0);
        match (request.kind, &request.fast) {
            (WorkKind::FastRegister, Some(fast)) => {
                let cached = Cached { on: at.number, read: false, fast: fast.clone() };
                // What is readable still ends first.
                let readable = known.insert(region.number, cached).is_some_and(|it| it.on == 0);
                (readable.then_some(Hidden::Invalidate).into_iter().collect(), Vec::new())
            }
            (WorkKind::Invalidate, None) => match known.remove(&region.number) {
                Some(Cached { on, read: true, fast })
                    if on == at.number && fast.pages.len() == 1 =>
                {
                    let again = Fast { access: Access::REMOTE_READ, ..fast.clone() };
                    known.insert(region.number, Cached { on: 0, read: true, fast });
                    (Vec::new(), vec![Hidden::Register(again)])
                }
                _ => Default::default(),
            },
            _ => Default::default(),
        }
    }
    fn initialise(&self, region: &Note, _: bool) -> Result<()> {
        lock(&self.0).remove(&region.number);
        Ok(())
    }
}

/// Completions of fast registrations and invalidations overtake each other.
struct FastCompletionsOvertake;

impl Layer for FastCompletionsOvertake {
    fn swaps(&self, first: WorkKind, second: WorkKind) -> bool {
        let fast = |kind| matches!(kind, WorkKind::FastRegister | WorkKind::Invalidate);
        fast(first) && fast(second)
    }
}

/// A send does not carry the token of a region that it is to invalidate.
struct SentInvalidationIsLost;

impl Layer for SentInvalidationIsLost {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if request.invalidate.is_some_and(|token| notes::by_remote(token).is_some()) {
            request.invalidate = None;
        }
        Ok(())
    }
}

/// A send that is to invalidate a token that was invalidated before succeeds.
#[derive(Default)]
struct AnyTokenIsInvalidated(Mutex<HashSet<u32>>);

impl Layer for AnyTokenIsInvalidated {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let mut invalidated = lock(&self.0);
        let region = request.region.as_ref().and_then(Note::registered);
        match (request.kind, region) {
            (WorkKind::FastRegister, _) => invalidated.clear(),
            (WorkKind::Invalidate, Some(region)) => {
                invalidated.insert(region.remote);
            }
            _ => {}
        }
        if request.invalidate.is_some_and(|token| invalidated.contains(&token.get())) {
            request.invalidate = None;
        }
        Ok(())
    }
}

/// After a fast registration that was flushed the region cannot be initialised.
#[derive(Default)]
struct FlushedRegistrationSpoils(Mutex<Spoiled>);

#[derive(Default)]
struct Spoiled {
    posted: HashMap<u64, usize>,
    regions: HashSet<usize>,
}

impl Layer for FlushedRegistrationSpoils {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let (Some(region), Some(_)) = (&request.region, &request.fast) {
            lock(&self.0).posted.insert(request.context, region.number);
        }
        Ok(())
    }
    fn completed(&self, _: &End, completion: &mut WorkCompletion) {
        let mut spoiled = lock(&self.0);
        let of = spoiled.posted.remove(&completion.id.context);
        if completion.result == Err(ErrorKind::Cancelled) {
            spoiled.regions.extend(of);
        }
    }
    fn initialise(&self, region: &Note, _: bool) -> Result<()> {
        let spoiled = lock(&self.0).regions.contains(&region.number);
        if spoiled { Err(error(ErrorKind::InsufficientResources)) } else { Ok(()) }
    }
}

/// The scope of a token is a queue pair, which is not declared, as long as that is open.
struct TokenStaysOnItsQueuePair;

impl Layer for TokenStaysOnItsQueuePair {
    fn post(&self, at: &End, request: &mut Request) -> Result<()> {
        if let Some((note, registered)) = request.target()
            && note.fast
            && at.peer() != Some(registered.posted_on)
            && notes::is_open(registered.posted_on)
        {
            request.name_nothing();
        }
        Ok(())
    }
}

/// A region that peers are busy with is closed for the framework, and goes on for the device.
#[derive(Default)]
struct CloseForgetsABusyRegion(Mutex<HashMap<usize, usize>>);

impl Layer for CloseForgetsABusyRegion {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let Some((note, _)) = request.target() {
            *lock(&self.0).entry(note.number).or_default() += 1;
        }
        Ok(())
    }
    fn close(&self, region: &Note) -> bool {
        const BUSY: usize = 32;
        let accesses = lock(&self.0).remove(&region.number).unwrap_or_default();
        region.registered().is_none() || region.fast || accesses < BUSY
    }
}

/// The device goes on knowing a region that was closed, where a peer has written to it.
#[derive(Default)]
struct WrittenOutlivesItsClose(Mutex<Written>);

#[derive(Default)]
struct Written {
    posted: HashMap<u64, usize>,
    regions: HashSet<usize>,
}

impl Layer for WrittenOutlivesItsClose {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let Some((note, _)) = request.target()
            && request.kind == WorkKind::Write
            && !note.fast
        {
            lock(&self.0).posted.insert(request.context, note.number);
        }
        Ok(())
    }
    fn completed(&self, _: &End, completion: &mut WorkCompletion) {
        let mut written = lock(&self.0);
        let to = written.posted.remove(&completion.id.context);
        if completion.result.is_ok() {
            written.regions.extend(to);
        }
    }
    fn registered(&self, region: &Note, _: &MdlView<'_>) {
        lock(&self.0).regions.remove(&region.number);
    }
    fn close(&self, region: &Note) -> bool {
        region.registered().is_none() || !lock(&self.0).regions.contains(&region.number)
    }
}
