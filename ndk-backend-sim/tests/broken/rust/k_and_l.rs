//! Sections K and L.

use super::a_to_d::error;
use super::notes::{End, Note};
use super::{Layer, Request, lock};
use ndk_core::abi::PAGE_SIZE;
use ndk_core::mdl::MdlView;
use ndk_core::{Access, Capabilities, ErrorKind, FastRegistration, LocalToken, Result};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Mutex;

pub(super) fn find(name: &str) -> Option<Box<dyn Layer>> {
    Some(match name {
        "one_page_more_is_declared" => Box::new(OnePageMoreIsDeclared),
        "windows_are_not_declared" => Box::new(WindowsAreNotDeclared),
        "unsupported_memory_keeps_the_region" => Box::new(UnsupportedKeepsTheRegion::default()),
        "fourth_page_is_elsewhere" => Box::new(FourthPageIsElsewhere),
        "element_is_cut_to_its_mapping" => Box::new(ElementIsCutToItsMapping::default()),
        "mapping_is_exact" => Box::new(MappingIsExact::default()),
        "fast_registration_ends_with_its_page" => Box::new(FastRegistrationEndsWithItsPage),
        "one_token_for_all_domains" => Box::new(OneTokenForAllDomains::default()),
        "domains_have_no_token" => Box::new(DomainsHaveNoToken),
        "unaligned_mapping_waits" => Box::new(UnalignedMappingWaits),
        "every_mapping_waits" => Box::new(EveryMappingWaits),
        _ => return None,
    })
}

struct OnePageMoreIsDeclared;

impl Layer for OnePageMoreIsDeclared {
    fn capabilities(&self, declared: Capabilities) -> Capabilities {
        let more = |fast: FastRegistration| FastRegistration { pages: fast.pages + 1, ..fast };
        Capabilities { fast_registration: declared.fast_registration.map(more), ..declared }
    }
}

struct WindowsAreNotDeclared;

impl Layer for WindowsAreNotDeclared {
    fn capabilities(&self, declared: Capabilities) -> Capabilities {
        Capabilities { windows: false, ..declared }
    }
}

/// What the device cannot express is refused, and then the region cannot be registered any more.
#[derive(Default)]
struct UnsupportedKeepsTheRegion(Mutex<HashSet<usize>>);

impl Layer for UnsupportedKeepsTheRegion {
    fn register(&self, region: &Note, memory: &MdlView<'_>, _: &mut Access) -> Result<()> {
        let frames: Vec<usize> = memory.frames().collect();
        if frames.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            lock(&self.0).insert(region.number);
        } else if lock(&self.0).contains(&region.number) {
            return Err(error(ErrorKind::InsufficientResources));
        }
        Ok(())
    }
}

/// The fourth page of four does not follow the third.
struct FourthPageIsElsewhere;

/// No address of the simulator's has this bit.
const ELSEWHERE: u64 = 1 << 62;

impl FourthPageIsElsewhere {
    fn back(address: &mut u64) {
        if *address >> 62 == 1 {
            *address -= ELSEWHERE;
        }
    }
}

impl Layer for FourthPageIsElsewhere {
    fn mapped(&self, _: &MdlView<'_>, pages: &mut [u64]) {
        if let [_, _, _, fourth] = pages {
            *fourth += ELSEWHERE;
        }
    }
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        request.local.iter_mut().for_each(|element| Self::back(&mut element.address));
        let pages = request.fast.iter_mut().flat_map(|fast| &mut fast.pages);
        pages.for_each(Self::back);
        Ok(())
    }
}

/// The logical addresses of a mapping: of its pages, and of its bytes.
#[derive(Clone)]
struct Mapped {
    pages: Range<u64>,
    bytes: Range<u64>,
}

impl Mapped {
    fn new(memory: &MdlView<'_>, pages: &[u64]) -> Self {
        let start = pages[0];
        let end = start + (pages.len() * PAGE_SIZE) as u64;
        let first = start + memory.page_offset() as u64;
        Self { pages: start..end, bytes: first..first + memory.len() as u64 }
    }

    /// Adds a mapping. Another adapter's may have had the same addresses.
    fn note(mappings: &mut Vec<Self>, memory: &MdlView<'_>, pages: &[u64]) {
        mappings.retain(|it| !it.pages.contains(&pages[0]));
        mappings.push(Self::new(memory, pages));
    }
}

/// An element that ends beyond its mapping is made shorter.
#[derive(Default)]
struct ElementIsCutToItsMapping(Mutex<Vec<Mapped>>);

impl Layer for ElementIsCutToItsMapping {
    fn mapped(&self, memory: &MdlView<'_>, pages: &mut [u64]) {
        Mapped::note(&mut lock(&self.0), memory, pages);
    }
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let mappings = lock(&self.0);
        for element in &mut request.local {
            if let Some(mapping) = mappings.iter().find(|it| it.pages.contains(&element.address)) {
                let room = (mapping.pages.end - element.address).min(u64::from(u32::MAX));
                element.length = element.length.min(room as u32);
            }
        }
        Ok(())
    }
}

/// A mapping is of its bytes, and not of the rest of their pages.
#[derive(Default)]
struct MappingIsExact(Mutex<Vec<Mapped>>);

impl Layer for MappingIsExact {
    fn mapped(&self, memory: &MdlView<'_>, pages: &mut [u64]) {
        Mapped::note(&mut lock(&self.0), memory, pages);
    }
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        let mappings = lock(&self.0);
        let outside = |address: u64| {
            let mapping = mappings.iter().find(|it| it.pages.contains(&address));
            mapping.is_some_and(|mapping| !mapping.bytes.contains(&address))
        };
        let outside = request.local.iter().any(|element| outside(element.address));
        if outside { Err(error(ErrorKind::InvalidParameter)) } else { Ok(()) }
    }
}

/// A fast registration of several pages reaches to the end of the last.
struct FastRegistrationEndsWithItsPage;

impl Layer for FastRegistrationEndsWithItsPage {
    fn post(&self, _: &End, request: &mut Request) -> Result<()> {
        if let Some(fast) = request.fast.as_mut().filter(|fast| fast.pages.len() > 1) {
            let end = (fast.base + fast.length).next_multiple_of(PAGE_SIZE as u64);
            fast.length = end - fast.base;
        }
        Ok(())
    }
}

/// The privileged token of an adapter's first domain is that of all.
#[derive(Default)]
struct OneTokenForAllDomains(Mutex<Option<LocalToken>>);

impl Layer for OneTokenForAllDomains {
    fn privileged_token(&self, number: usize, token: Option<LocalToken>) -> Option<LocalToken> {
        let mut first = lock(&self.0);
        if number == 0 {
            *first = token;
        }
        *first
    }
}

struct DomainsHaveNoToken;

impl Layer for DomainsHaveNoToken {
    fn privileged_token(&self, _: usize, _: Option<LocalToken>) -> Option<LocalToken> {
        None
    }
}

/// A mapping whose first byte is inside a page is not built at once.
struct UnalignedMappingWaits;

impl Layer for UnalignedMappingWaits {
    fn mapping_waits(&self, memory: &MdlView<'_>) -> bool {
        memory.page_offset() != 0
    }
}

struct EveryMappingWaits;

impl Layer for EveryMappingWaits {
    fn mapping_waits(&self, _: &MdlView<'_>) -> bool {
        true
    }
}
