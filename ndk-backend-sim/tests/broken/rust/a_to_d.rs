//! Sections A to D.

use super::notes::{Note, Registered, live};
use super::{Kill, Layer, Request, lock};
use ndk_core::abi::{PAGE_SHIFT, PAGE_SIZE};
use ndk_core::mdl::MdlView;
use ndk_core::{Access, Error, ErrorKind, LocalToken, RemoteToken, Result, WorkKind};
use std::collections::{HashMap, HashSet};
use std::ptr::with_exposed_provenance_mut;
use std::sync::Mutex;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "another_major_is_served" => Box::new(AnotherMajorIsServed),
        "high_address_is_refused" => Box::new(HighAddressIsRefused),
        "largest_is_refused" => Box::new(LargestIsRefused),
        "addresses_may_be_offsets" => Box::new(AddressesMayBeOffsets),
        "odd_byte_shares_its_word" => Box::new(OddByteSharesItsWord),
        "read_sink_is_no_source" => Box::new(ReadSinkIsNoSource::default()),
        "sharers_go_together" => Box::new(SharersGoTogether::default()),
        "sharers_have_all_rights" => Box::new(SharersHaveAllRights),
        "refusal_takes_room" => Box::new(RefusalTakesRoom::default()),
        "limit_is_one_more" => Box::new(LimitIsOneMore),
        "closed_window_is_remembered" => Box::new(ClosedWindowIsRemembered::default()),
        "deregistration_is_late_under_load" => Box::new(DeregistrationIsLate::default()),
        "token_is_of_the_place" => Box::new(TokenIsOfThePlace::default()),
        "token_returns_too_soon" => Box::new(TokenReturnsTooSoon::default()),
        "deregister_changes_a_byte" => Box::new(DeregisterChangesAByte),
        "deregister_copies_back" => Box::new(DeregisterCopiesBack::default()),
        _ => return None,
    })
}

pub(super) fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "broken on purpose")
}

/// Serves NDK 3.0, which there is not.
struct AnotherMajorIsServed;

impl Layer for AnotherMajorIsServed {
    fn highest_minor(&self, major: u16, served: Option<u16>) -> Option<u16> {
        if major == 3 { Some(0) } else { served }
    }
}

/// Takes addresses with the top bit for negative ones.
struct HighAddressIsRefused;

impl Layer for HighAddressIsRefused {
    fn register(&self, _: &Note, memory: &MdlView<'_>, _: &mut Access) -> Result<()> {
        if memory.base() >> 63 == 1 { Err(error(ErrorKind::NotSupported)) } else { Ok(()) }
    }
}

/// Off by one at the largest registration.
struct LargestIsRefused;

impl Layer for LargestIsRefused {
    fn register(&self, _: &Note, memory: &MdlView<'_>, _: &mut Access) -> Result<()> {
        // The limit that the kit shows of every adapter.
        let largest = memory.len() == 1 << 20;
        if largest { Err(error(ErrorKind::InsufficientResources)) } else { Ok(()) }
    }
}

/// Zero-based addressing beside the other.
struct AddressesMayBeOffsets;

impl Layer for AddressesMayBeOffsets {
    fn post(&self, _: &super::End, request: &mut Request) -> Result<()> {
        if let (Some((_, to)), Some((address, length))) = (request.target(), request.range())
            && address.checked_add(length).is_some_and(|end| end <= to.length)
            && to.base > to.length
        {
            request.aim(to.base + address, length);
        }
        Ok(())
    }
}

/// Bounds are rounded to two bytes, so that one byte at an odd address exposes the one before it.
struct OddByteSharesItsWord;

impl Layer for OddByteSharesItsWord {
    fn post(&self, _: &super::End, request: &mut Request) -> Result<()> {
        if let (Some((_, to)), Some((address, length))) = (request.target(), request.range())
            && to.length == 1
            && to.base % 2 == 1
            && address == to.base - 1
            && length > 0
        {
            request.aim(to.base, 1);
        }
        Ok(())
    }
}

/// A read sink for remote reads that was read into cannot be the source of a write.
#[derive(Default)]
struct ReadSinkIsNoSource(Mutex<HashSet<u32>>);

impl Layer for ReadSinkIsNoSource {
    fn post(&self, _: &super::End, request: &mut Request) -> Result<()> {
        let both = Access::REMOTE_READ | Access::READ_SINK;
        let mut read_into = lock(&self.0);
        for element in &mut request.local {
            let token = element.token.get();
            let of_both = |(_, it): &(_, Registered)| it.local == token && it.access == both;
            if request.kind == WorkKind::Read && live().iter().any(of_both) {
                read_into.insert(token);
            }
            if request.kind == WorkKind::Write && read_into.contains(&token) {
                let wrong = LocalToken::new(token ^ 0x5a5a_5a5a);
                element.token = wrong.unwrap_or(element.token);
            }
        }
        Ok(())
    }
}

/// Unmaps a page for all when one of its regions goes.
#[derive(Default)]
struct SharersGoTogether(Mutex<HashSet<usize>>);

impl Layer for SharersGoTogether {
    fn registered(&self, region: &Note, _: &MdlView<'_>) {
        lock(&self.0).remove(&region.number);
    }
    fn deregistered(&self, _: &Note, was: &Registered) {
        let sharers = live().into_iter().filter(|(_, it)| it.frame == was.frame && was.frame != 0);
        lock(&self.0).extend(sharers.map(|(note, _)| note.number));
    }
    fn post(&self, _: &super::End, request: &mut Request) -> Result<()> {
        if let Some((note, _)) = request.target()
            && lock(&self.0).contains(&note.number)
        {
            request.name_nothing();
        }
        Ok(())
    }
}

/// Rights are those of the page: all that any of its regions has.
struct SharersHaveAllRights;

impl Layer for SharersHaveAllRights {
    fn register(&self, _: &Note, memory: &MdlView<'_>, access: &mut Access) -> Result<()> {
        let own = Registered::over(memory, *access);
        let sharers = live().into_iter().filter(|(_, it)| it.frame == own.frame);
        *access = sharers.fold(*access, |all, (_, it)| all | it.access);
        Ok(())
    }
}

/// A registration that finds no room takes some from the next region's.
#[derive(Default)]
struct RefusalTakesRoom(Mutex<Option<usize>>);

impl Layer for RefusalTakesRoom {
    fn register(&self, region: &Note, _: &MdlView<'_>, _: &mut Access) -> Result<()> {
        match lock(&self.0).take() {
            Some(refused) if refused != region.number => {
                Err(error(ErrorKind::InsufficientResources))
            }
            _ => Ok(()),
        }
    }
    fn refused(&self, region: &Note) {
        *lock(&self.0) = Some(region.number);
    }
}

struct LimitIsOneMore;

impl Layer for LimitIsOneMore {
    fn regions(&self, limit: u32) -> u32 {
        limit + 1
    }
}

/// A window that is closed, and was not invalidated, keeps its region busy.
#[derive(Default)]
struct ClosedWindowIsRemembered(Mutex<Windows>);

#[derive(Default)]
struct Windows {
    bound: Vec<usize>,
    busy: HashSet<usize>,
}

impl Layer for ClosedWindowIsRemembered {
    fn post(&self, _: &super::End, request: &mut Request) -> Result<()> {
        let mut windows = lock(&self.0);
        match (request.kind, &request.region) {
            (WorkKind::Bind, Some(region)) => windows.bound.push(region.number),
            (WorkKind::Invalidate, None) => windows.bound.clear(),
            _ => {}
        }
        Ok(())
    }
    fn window_closed(&self) {
        let mut windows = lock(&self.0);
        let bound = std::mem::take(&mut windows.bound);
        windows.busy.extend(bound);
    }
    fn deregister(&self, region: &Note, _: Kill) -> Result<bool> {
        let busy = lock(&self.0).busy.contains(&region.number);
        if busy { Err(error(ErrorKind::DeviceBusy)) } else { Ok(true) }
    }
}

/// A region that peers are busy with is deregistered some accesses late.
#[derive(Default)]
struct DeregistrationIsLate(Mutex<Late>);

#[derive(Default)]
struct Late {
    /// Accesses to each region since its registration.
    accesses: HashMap<usize, usize>,
    /// What is to be ended, by its token, and after how many accesses.
    ending: HashMap<u32, (usize, usize, Kill)>,
}

impl DeregistrationIsLate {
    /// The region cannot wait.
    fn end_now(&self, region: &Note) {
        let mut late = lock(&self.0);
        late.accesses.remove(&region.number);
        let token = late.ending.iter().find(|(_, end)| end.0 == region.number).map(|(&it, _)| it);
        let ending = token.and_then(|token| late.ending.remove(&token));
        drop(late);
        if let Some((.., kill)) = ending {
            kill();
        }
    }
}

impl Layer for DeregistrationIsLate {
    fn register(&self, region: &Note, _: &MdlView<'_>, _: &mut Access) -> Result<()> {
        self.end_now(region);
        Ok(())
    }
    fn close(&self, region: &Note) -> bool {
        self.end_now(region);
        true
    }
    fn deregister(&self, region: &Note, kill: Kill) -> Result<bool> {
        const BUSY: usize = 32;
        const LATE: usize = 200;
        let mut late = lock(&self.0);
        let busy = late.accesses.remove(&region.number).is_some_and(|accesses| accesses >= BUSY);
        let Some(registered) = region.registered().filter(|_| busy) else { return Ok(true) };
        late.ending.insert(registered.remote, (region.number, LATE, kill));
        Ok(false)
    }
    fn post(&self, _: &super::End, request: &mut Request) -> Result<()> {
        let Some(remote) = request.remote else { return Ok(()) };
        let target = request.target();
        let mut late = lock(&self.0);
        if let Some((note, _)) = target {
            *late.accesses.entry(note.number).or_default() += 1;
        }
        let token = remote.token.get();
        let due = late.ending.get_mut(&token).is_some_and(|(_, left, _)| {
            *left -= 1;
            *left == 0
        });
        let ending = if due { late.ending.remove(&token) } else { None };
        drop(late);
        if let Some((.., kill)) = ending {
            kill();
        }
        Ok(())
    }
}

/// A token names a place, whichever region has it: that of a closed region reaches the next in its place.
#[derive(Default)]
struct TokenIsOfThePlace(Mutex<Places>);

#[derive(Default)]
struct Places {
    of: HashMap<usize, usize>,
    free: Vec<usize>,
    retired: HashMap<u32, usize>,
}

impl Layer for TokenIsOfThePlace {
    fn created(&self, region: &Note) {
        let mut places = lock(&self.0);
        let place = places.free.pop().unwrap_or(region.number);
        places.of.insert(region.number, place);
    }
    fn close(&self, region: &Note) -> bool {
        let mut places = lock(&self.0);
        if let Some(place) = places.of.get(&region.number).copied() {
            places.free.push(place);
        }
        true
    }
    fn deregistered(&self, region: &Note, was: &Registered) {
        let mut places = lock(&self.0);
        if let Some(place) = places.of.get(&region.number).copied()
            && !region.fast
        {
            places.retired.insert(was.remote, place);
        }
    }
    fn post(&self, _: &super::End, request: &mut Request) -> Result<()> {
        let Some(remote) = request.remote else { return Ok(()) };
        if request.target().is_none() {
            let places = lock(&self.0);
            let place = places.retired.get(&remote.token.get()).copied();
            let there = |(note, _): &(Note, _)| place == places.of.get(&note.number).copied();
            let now = place.and_then(|_| live().into_iter().find(there));
            drop(places);
            request.name(now.and_then(|(_, registered)| registered.token()));
        }
        Ok(())
    }
}

/// A region's token is that of 60,000 registrations ago.
#[derive(Default)]
struct TokenReturnsTooSoon(Mutex<HashMap<usize, Vec<(u32, u32)>>>);

impl TokenReturnsTooSoon {
    fn early(&self, region: &Note) -> Option<(u32, u32)> {
        let issued = lock(&self.0);
        let issued = issued.get(&region.number)?;
        issued.len().checked_sub(60_000).map(|place| issued[place])
    }
}

impl Layer for TokenReturnsTooSoon {
    fn registered(&self, region: &Note, _: &MdlView<'_>) {
        if let Some(Registered { local, remote, .. }) = region.registered() {
            lock(&self.0).entry(region.number).or_default().push((local, remote));
        }
    }
    fn close(&self, region: &Note) -> bool {
        lock(&self.0).remove(&region.number);
        true
    }
    fn local_token(&self, region: &Note, token: Option<LocalToken>) -> Option<LocalToken> {
        self.early(region).and_then(|(local, _)| LocalToken::new(local)).or(token)
    }
    fn remote_token(&self, region: &Note, token: Option<RemoteToken>) -> Option<RemoteToken> {
        self.early(region).and_then(|(_, remote)| RemoteToken::new(remote)).or(token)
    }
}

/// The first byte of a registration.
fn first_byte(registered: &Registered) -> *mut u8 {
    let offset = registered.base as usize % PAGE_SIZE;
    with_exposed_provenance_mut((registered.frame << PAGE_SHIFT) + offset)
}

struct DeregisterChangesAByte;

impl Layer for DeregisterChangesAByte {
    fn deregister(&self, region: &Note, _: Kill) -> Result<bool> {
        // Where peers have rights, they may be reading.
        if let Some(registered) = region.registered().filter(|it| it.access == Access::LOCAL_READ) {
            let byte = first_byte(&registered);
            // SAFETY: the registration's memory is valid until it ends; nobody else writes it in a case that looks.
            unsafe { byte.write_volatile(!byte.read_volatile()) };
        }
        Ok(true)
    }
}

/// Works on a copy of the memory's first byte, as it was when it was registered.
#[derive(Default)]
struct DeregisterCopiesBack(Mutex<HashMap<usize, u8>>);

impl Layer for DeregisterCopiesBack {
    fn registered(&self, region: &Note, _: &MdlView<'_>) {
        if let Some(registered) = region.registered() {
            // SAFETY: as above.
            let byte = unsafe { first_byte(&registered).read_volatile() };
            lock(&self.0).insert(region.number, byte);
        }
    }
    fn deregister(&self, region: &Note, _: Kill) -> Result<bool> {
        let copy = lock(&self.0).remove(&region.number);
        if let (Some(registered), Some(byte)) = (region.registered(), copy) {
            // SAFETY: as above.
            unsafe { first_byte(&registered).write_volatile(byte) };
        }
        Ok(true)
    }
}
