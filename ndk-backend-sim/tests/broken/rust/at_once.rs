//! What only a provider does that answers at once, without a future or a list of what is posted. All other defects of this
//! part can be asked for at once too: `find` of the parent takes the end of a name for that.

use super::a_to_d::error;
use super::notes::{End, Note, Registered, live};
use super::{Layer, Request, lock};
use ndk_core::abi::PAGE_SIZE;
use ndk_core::mdl::MdlView;
use ndk_core::{
    Access, Error, ErrorKind, LocalToken, RemoteToken, Result, WorkCompletion, WorkKind,
};
use std::collections::HashMap;
use std::sync::Mutex;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "creation_takes_two_places" => Box::new(CreationTakesTwoPlaces),
        "shared_page_is_pinned_twice" => Box::new(SharedPageIsPinnedTwice),
        "full_adapter_is_unsupported" => Box::new(FullAdapterIsUnsupported),
        "refused_write_is_done" => Box::new(RefusedWriteIsDone),
        "long_write_is_done" => Box::new(LongWriteIsDone),
        "write_overtakes" => Box::new(WriteOvertakes::default()),
        "token_is_the_one_before" => Box::new(TokenIsTheOneBefore::default()),
        _ => return None,
    })
}

/// A creation is carried out, and once more by its future.
struct CreationTakesTwoPlaces;

impl Layer for CreationTakesTwoPlaces {
    fn makes_again(&self) -> bool {
        true
    }
}

/// A registration is carried out, and once more by its future, where a page of it is in another region.
struct SharedPageIsPinnedTwice;

impl Layer for SharedPageIsPinnedTwice {
    fn has_twins(&self) -> bool {
        true
    }
    fn regions(&self, limit: u32) -> u32 {
        2 * limit
    }
    fn registers_again(&self, memory: &MdlView<'_>) -> bool {
        let frame = memory.frames().next();
        live().iter().any(|(_, registered)| Some(registered.frame) == frame)
    }
}

/// A creation for which there is no room is one that the device does not know.
struct FullAdapterIsUnsupported;

impl Layer for FullAdapterIsUnsupported {
    fn refused_at_once(&self, refusal: Error) -> Error {
        match refusal.kind() {
            ErrorKind::InsufficientResources => error(ErrorKind::NotSupported),
            _ => refusal,
        }
    }
}

/// A write to a read sink for remote reads is said to be done, and is not.
struct RefusedWriteIsDone;

impl Layer for RefusedWriteIsDone {
    fn is_said_to_be_done(&self, request: &Request) -> bool {
        let sink = Access::REMOTE_READ | Access::READ_SINK;
        let target = request.target();
        request.kind == WorkKind::Write && target.is_some_and(|(_, it)| it.access == sink)
    }
}

/// A write of more than a page that ends a byte beyond the region is said to be done, and is not.
struct LongWriteIsDone;

impl Layer for LongWriteIsDone {
    fn is_said_to_be_done(&self, request: &Request) -> bool {
        let (Some((_, to)), Some((address, length))) = (request.target(), request.range()) else {
            return false;
        };
        let is_long = request.kind == WorkKind::Write && length > PAGE_SIZE as u64;
        is_long && address >= to.base && address.checked_add(length) == Some(to.end() + 1)
    }
}

/// A write is carried out before the completion of a fast registration that was posted before it can be read.
#[derive(Default)]
struct WriteOvertakes(Mutex<HashMap<usize, usize>>);

impl Layer for WriteOvertakes {
    fn post(&self, at: &End, request: &mut Request) -> Result<()> {
        if request.kind == WorkKind::FastRegister {
            *lock(&self.0).entry(at.number).or_default() += 1;
        }
        Ok(())
    }
    fn completed(&self, at: &End, completion: &mut WorkCompletion) {
        if completion.kind == WorkKind::FastRegister {
            *lock(&self.0).entry(at.number).or_default() -= 1;
        }
    }
    fn overtakes(&self, at: &End) -> bool {
        lock(&self.0).get(&at.number).is_some_and(|&open| open > 0)
    }
}

/// A region that is registered again, with other memory, answers with the tokens that it had.
#[derive(Default)]
struct TokenIsTheOneBefore(Mutex<HashMap<usize, Had>>);

struct Had {
    frame: usize,
    local: u32,
    remote: u32,
    is_given: bool,
}

impl Layer for TokenIsTheOneBefore {
    fn registered(&self, region: &Note, memory: &MdlView<'_>) {
        let frame = memory.frames().next();
        if let Some(had) = lock(&self.0).get_mut(&region.number) {
            had.is_given = had.remote != 0 && frame != Some(had.frame);
        }
    }
    fn deregistered(&self, region: &Note, was: &Registered) {
        let Registered { frame, local, remote, .. } = *was;
        lock(&self.0).insert(region.number, Had { frame, local, remote, is_given: false });
    }
    fn local_token(&self, region: &Note, token: Option<LocalToken>) -> Option<LocalToken> {
        let tokens = lock(&self.0);
        let had = tokens.get(&region.number).filter(|had| had.is_given);
        had.map_or(token, |had| LocalToken::new(had.local))
    }
    fn remote_token(&self, region: &Note, token: Option<RemoteToken>) -> Option<RemoteToken> {
        let tokens = lock(&self.0);
        let had = tokens.get(&region.number).filter(|had| had.is_given);
        had.map_or(token, |had| RemoteToken::new(had.remote))
    }
}
