//! Sections E and F, apart from tokens that can be guessed (`weak`).

use super::a_to_d::error;
use super::notes::{End, Note, Registered, by_local, live};
use super::{Layer, Request, lock};
use ndk_core::mdl::MdlView;
use ndk_core::{Access, ErrorKind, LocalToken, RemoteToken, Result, WorkCompletion, WorkKind};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "ninth_reading_differs" => Box::new(NinthReadingDiffers::default()),
        "initialised_region_shares_a_token" => Box::new(InitialisedRegionSharesAToken::default()),
        "late_region_shares_a_token" => Box::new(LateRegionSharesAToken::default()),
        "local_token_names_remotely" => Box::new(LocalTokenNamesRemotely),
        "token_changes_in_a_late_round" => Box::new(TokenChangesInALateRound::default()),
        "privileged_token_names_remotely" => Box::new(PrivilegedTokenNamesRemotely::default()),
        "long_access_ends_one_late" => Box::new(LongAccessEndsOneLate),
        "access_that_wraps_starts_over" => Box::new(AccessThatWrapsStartsOver),
        "long_element_ends_one_late" => Box::new(LongElementEndsOneLate),
        "element_that_wraps_starts_over" => Box::new(ElementThatWrapsStartsOver),
        "read_sink_opens_for_writing" => Box::new(ReadSinkOpensForWriting),
        "remote_read_takes_messages" => Box::new(RemoteReadTakesMessages),
        "third_domain_is_the_first" => Box::new(ThirdDomainIsTheFirst),
        "flushed_invalidation_succeeds" => Box::new(FlushedInvalidationSucceeds::default()),
        "flushed_send_is_a_violation" => Box::new(FlushedSendIsAViolation),
        _ => return None,
    })
}

/// The remote token of a registration changes once it was read often.
#[derive(Default)]
struct NinthReadingDiffers(Mutex<HashMap<usize, usize>>);

impl Layer for NinthReadingDiffers {
    fn registered(&self, region: &Note, _: &MdlView<'_>) {
        lock(&self.0).insert(region.number, 0);
    }
    fn remote_token(&self, region: &Note, token: Option<RemoteToken>) -> Option<RemoteToken> {
        let mut readings = lock(&self.0);
        let count = readings.entry(region.number).or_default();
        *count += 1;
        let token = token?;
        if *count < 9 || region.fast { Some(token) } else { RemoteToken::new(token.get() ^ 1) }
    }
}

/// With many regions registered, the next has the tokens of the first.
#[derive(Default)]
struct LateRegionSharesAToken(Mutex<HashMap<usize, (u32, u32)>>);

impl Layer for LateRegionSharesAToken {
    fn registered(&self, region: &Note, _: &MdlView<'_>) {
        const MANY: usize = 400;
        let live = live();
        if live.len() > MANY {
            let Registered { local, remote, .. } = live[0].1;
            lock(&self.0).insert(region.number, (local, remote));
        }
    }
    fn local_token(&self, region: &Note, token: Option<LocalToken>) -> Option<LocalToken> {
        let shared = lock(&self.0).get(&region.number).copied();
        shared.and_then(|(local, _)| LocalToken::new(local)).or(token)
    }
    fn remote_token(&self, region: &Note, token: Option<RemoteToken>) -> Option<RemoteToken> {
        let shared = lock(&self.0).get(&region.number).copied();
        shared.and_then(|(_, remote)| RemoteToken::new(remote)).or(token)
    }
}

/// With some regions of one page registered, one that is initialised for fast registration has a remote token of theirs.
#[derive(Default)]
struct InitialisedRegionSharesAToken(Mutex<HashMap<usize, u32>>);

impl Layer for InitialisedRegionSharesAToken {
    fn initialise(&self, region: &Note, _: bool) -> Result<()> {
        const SOME: usize = 20;
        let live = live();
        let last = live.last().map(|(_, registered)| registered);
        let sharers = live.iter().filter(|(_, it)| last.is_some_and(|last| last.frame == it.frame));
        if let Some(last) = last.filter(|_| sharers.count() > SOME) {
            lock(&self.0).insert(region.number, last.remote);
        }
        Ok(())
    }
    fn remote_token(&self, region: &Note, token: Option<RemoteToken>) -> Option<RemoteToken> {
        let shared = lock(&self.0).get(&region.number).copied();
        shared.and_then(RemoteToken::new).or(token)
    }
}

/// One key for both sides, which is not declared, where the region has remote rights.
struct LocalTokenNamesRemotely;

impl Layer for LocalTokenNamesRemotely {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let Some(remote) = request.remote else { return Ok(()) };
        let token = remote.token.get();
        let named = live().into_iter().find(|(note, it)| !note.fast && it.local == token);
        request.name(named.and_then(|(_, registered)| registered.token()));
        Ok(())
    }
}

/// The token of a fast registration changes from the sixth round on.
#[derive(Default)]
struct TokenChangesInALateRound(Mutex<HashMap<usize, usize>>);

const CHANGE: u32 = 0x40;

impl TokenChangesInALateRound {
    fn is_late(&self, region: &Note) -> bool {
        region.fast && lock(&self.0).get(&region.number).is_some_and(|&rounds| rounds >= 6)
    }
}

impl Layer for TokenChangesInALateRound {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if request.kind == WorkKind::FastRegister
            && let Some(region) = &request.region
        {
            *lock(&self.0).entry(region.number).or_default() += 1;
        }
        let Some(remote) = request.remote else { return Ok(()) };
        let token = remote.token.get() ^ CHANGE;
        let named = live().into_iter().find(|(note, it)| it.remote == token && self.is_late(note));
        request.name(named.and_then(|(_, registered)| registered.token()));
        Ok(())
    }
    fn initialise(&self, region: &Note, _: bool) -> Result<()> {
        lock(&self.0).remove(&region.number);
        Ok(())
    }
    fn remote_token(&self, region: &Note, token: Option<RemoteToken>) -> Option<RemoteToken> {
        if self.is_late(region) { RemoteToken::new(token?.get() ^ CHANGE) } else { token }
    }
}

/// A peer that has a domain's privileged token reaches every region by it.
#[derive(Default)]
struct PrivilegedTokenNamesRemotely(Mutex<HashSet<u32>>);

impl Layer for PrivilegedTokenNamesRemotely {
    fn privileged_token(&self, _: usize, token: Option<LocalToken>) -> Option<LocalToken> {
        lock(&self.0).extend(token.map(LocalToken::get));
        token
    }
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let Some(remote) = request.remote else { return Ok(()) };
        if lock(&self.0).contains(&remote.token.get()) {
            let there = |it: &Registered| (it.base..it.end()).contains(&remote.address);
            let named = live().into_iter().find(|(_, it)| it.remote != 0 && there(it));
            request.name(named.and_then(|(_, registered)| registered.token()));
        }
        Ok(())
    }
}

/// An access of more than a page may end one byte late: its last byte is dropped.
struct LongAccessEndsOneLate;

impl Layer for LongAccessEndsOneLate {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let (Some((_, to)), Some((address, length))) = (request.target(), request.range())
            && length > 4096
            && address.wrapping_add(length) == to.end() + 1
        {
            request.aim(address, length - 1);
        }
        Ok(())
    }
}

/// An access that wraps comes out at the region's first byte.
struct AccessThatWrapsStartsOver;

impl Layer for AccessThatWrapsStartsOver {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let (Some((_, to)), Some((address, length))) = (request.target(), request.range())
            && address.checked_add(length).is_none()
        {
            request.aim(to.base, length);
        }
        Ok(())
    }
}

/// An element of more than 300 bytes may end one byte late: its last byte is dropped.
struct LongElementEndsOneLate;

impl Layer for LongElementEndsOneLate {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        for element in request.local.iter_mut().filter(|element| element.length > 300) {
            let end = element.address.wrapping_add(element.length.into());
            if by_local(element.token).is_some_and(|of| end == of.end() + 1) {
                element.length -= 1;
            }
        }
        Ok(())
    }
}

/// An element that wraps comes out at its region's first byte.
struct ElementThatWrapsStartsOver;

impl Layer for ElementThatWrapsStartsOver {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        for element in &mut request.local {
            let wraps = element.address.checked_add(element.length.into()).is_none();
            if let Some(of) = by_local(element.token).filter(|_| wraps) {
                element.address = of.base;
            }
        }
        Ok(())
    }
}

/// Any of the rights in place of all: a read sink that peers may read can be written by them.
struct ReadSinkOpensForWriting;

impl Layer for ReadSinkOpensForWriting {
    fn register(&self, _: &Note, _: &MdlView<'_>, access: &mut Access) -> Result<()> {
        if *access == Access::REMOTE_READ | Access::READ_SINK {
            *access = *access | Access::REMOTE_WRITE;
        }
        Ok(())
    }
}

/// Any of the rights in place of all: what peers may read can take a message.
struct RemoteReadTakesMessages;

impl Layer for RemoteReadTakesMessages {
    fn register(&self, _: &Note, _: &MdlView<'_>, access: &mut Access) -> Result<()> {
        if *access == Access::REMOTE_READ {
            *access = *access | Access::LOCAL_WRITE;
        }
        Ok(())
    }
}

/// The third domain of an adapter has the number of the first.
struct ThirdDomainIsTheFirst;

impl Layer for ThirdDomainIsTheFirst {
    fn domain_of_regions(&self, number: usize) -> usize {
        if number == 2 { 0 } else { number }
    }
}

/// An invalidation that was flushed says that it was carried out.
#[derive(Default)]
struct FlushedInvalidationSucceeds(Mutex<HashSet<u64>>);

impl Layer for FlushedInvalidationSucceeds {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if request.kind == WorkKind::Invalidate && request.region.is_some() {
            lock(&self.0).insert(request.context);
        }
        Ok(())
    }
    fn completed(&self, _: &End, completion: &mut WorkCompletion) {
        if completion.result == Err(ErrorKind::Cancelled)
            && lock(&self.0).remove(&completion.id.context)
        {
            completion.result = Ok(());
        }
    }
}

/// A send on a queue pair in error ends as if it had been refused.
struct FlushedSendIsAViolation;

impl Layer for FlushedSendIsAViolation {
    fn completed(&self, _: &End, completion: &mut WorkCompletion) {
        let flushed = completion.result == Err(ErrorKind::Cancelled);
        if completion.kind == WorkKind::Send && flushed {
            completion.result = Err(error(ErrorKind::AccessViolation).kind());
        }
    }
}
