//! Calls of regions, each by the rules of [`world`](super::world).

use super::common::{Random, entry};
use super::ledger::Entry;
use super::world::{
    About, DOMAINS, LASTING, Life, World, close_completed, create_completed, read,
    request_completed, write,
};
use ndk_core::abi::*;
use std::ptr::{addr_of, null_mut};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a legal request may say inline: the plan's fault, the limits, the state; and that it was cancelled, where it is
/// made in a completion routine while another thread closes the region.
const REQUEST: [NTSTATUS; 5] = [
    STATUS_SUCCESS,
    STATUS_PENDING,
    STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_DEVICE_STATE,
    STATUS_CANCELLED,
];

impl World {
    /// Makes a region for a place, where that is empty and nobody else does.
    pub(crate) fn create_region(&self, random: &mut Random, place: usize) {
        if self.creating[place].swap(true, Ordering::SeqCst) {
            return;
        }
        // Most where the queue pairs are, in whose domain each place is.
        let any = random.once_in(4).then(|| random.below(DOMAINS));
        let made = read(&self.regions[place]).is_none()
            && self.create_in(any.unwrap_or(place % LASTING), place);
        if !made {
            self.creating[place].store(false, Ordering::SeqCst);
        }
    }

    /// Asks for a region in a domain; false where there is none.
    fn create_in(&self, domain: usize, place: usize) -> bool {
        let domain = read(&self.domains[domain]);
        let Some(pd) = domain.as_ref() else { return false };
        let (mut out, fast) = (null_mut(), place.is_multiple_of(4));
        let context = self.ledger.begin(Entry::CreateMr, About::Creation { place, fast });
        // SAFETY: the domain's place is held, and the out pointer valid during the call.
        let status = unsafe {
            let create = entry!(pd.raw, NdkCreateMr);
            create(pd.raw.as_ptr(), fast.into(), Some(create_completed), context, &mut out)
        };
        // No two places are held at a time, but one of a region and then one of a domain.
        drop(domain);
        let legal = [STATUS_SUCCESS, STATUS_PENDING, STATUS_INSUFFICIENT_RESOURCES];
        self.expect(Entry::CreateMr, status, &legal);
        if let Some(about) = self.ledger.returned(context, status) {
            self.over(Entry::CreateMr, about, status, out.cast());
        }
        true
    }

    /// Takes the region out of its place and closes it, whatever is pending.
    pub(crate) fn close_region(&self, place: usize) {
        let life = write(&self.regions[place]).take();
        if let Some(life) = life {
            self.close_taken(life);
        }
    }

    /// Closes a region that was taken out of its place.
    fn close_taken(&self, life: Arc<Life>) -> NTSTATUS {
        let raw = life.raw;
        let context = self.ledger.begin(Entry::CloseMr, About::Close(life));
        // SAFETY: nobody else closes it, and nobody calls it but callbacks of its requests.
        let status =
            unsafe { entry!(raw, NdkCloseMr)(raw.as_ptr().cast(), Some(close_completed), context) };
        self.expect(Entry::CloseMr, status, &[STATUS_SUCCESS, STATUS_PENDING]);
        if let Some(about) = self.ledger.returned(context, status) {
            self.over(Entry::CloseMr, about, status, null_mut());
        }
        status
    }

    /// A request of a region that may be called.
    fn request(
        &self,
        entry: Entry,
        (place, life): (usize, &Arc<Life>),
        call: impl FnOnce(*mut NDK_MR, PVOID) -> NTSTATUS,
    ) -> NTSTATUS {
        let context = self.ledger.begin(entry, About::Region { place, life: life.clone() });
        let status = call(life.raw.as_ptr(), context);
        if let Some(about) = self.ledger.returned(context, status) {
            self.over(entry, about, status, null_mut());
        }
        status
    }

    /// Some legal request of a region that may be called, in whatever state that is.
    pub(crate) fn ask(&self, random: &mut Random, place: usize, life: &Arc<Life>) {
        let region = (place, life);
        let raw = life.raw;
        match random.below(5) {
            // They queue, and each takes its time.
            _ if life.fast && random.once_in(2) => {}
            _ if life.fast => {
                let (pages, remote) = (1 + random.below(30) as u32, random.below(2) as u8);
                // SAFETY: the caller's rule; completion and context are the ledger's.
                let status = self.request(Entry::Initialise, region, |mr, context| unsafe {
                    let initialise = entry!(raw, NdkInitializeFastRegisterMr);
                    initialise(mr, pages, remote, Some(request_completed), context)
                });
                self.expect(Entry::Initialise, status, &REQUEST);
            }
            0..3 => {
                let index = random.below(self.memory.len());
                let memory = &self.memory[index];
                life.memory.store(index, Ordering::Relaxed);
                let length = 1 + random.below(memory.len());
                let flags = *random.pick(&[0, 1, 2, 5, 7, 8, 15]);
                let mdl = memory.mdl().as_ptr();
                // SAFETY: as above; the chain lives to the end and is never changed.
                let status = self.request(Entry::Register, region, |mr, context| unsafe {
                    let register = entry!(raw, NdkRegisterMr);
                    register(mr, mdl, length, flags, Some(request_completed), context)
                });
                self.expect(Entry::Register, status, &REQUEST);
            }
            _ => {
                // SAFETY: as above.
                let status = self.request(Entry::Deregister, region, |mr, context| unsafe {
                    entry!(raw, NdkDeregisterMr)(mr, Some(request_completed), context)
                });
                let legal = [&REQUEST[..], &[STATUS_DEVICE_BUSY]].concat();
                self.expect(Entry::Deregister, status, &legal);
            }
        }
    }

    /// What a consumer does in the completion routine of a request, before that returns (B4): nothing, ask for
    /// something else, or close the region. Its request keeps the region there until the routine has returned, also
    /// where another thread has closed it meanwhile; then it is refused (H7).
    pub(crate) fn inside_callback(&self, random: &mut Random, place: usize, life: &Arc<Life>) {
        if self.over.load(Ordering::SeqCst) {
            return;
        }
        match random.below(16) {
            0..4 => self.ask(random, place, life),
            4 => {
                // Only where nobody holds the place, or waits for it: a callback does not wait.
                let taken = self.regions[place]
                    .try_write()
                    .ok()
                    .and_then(|mut region| region.take_if(|there| Arc::ptr_eq(there, life)));
                if let Some(life) = taken {
                    let status = self.close_taken(life);
                    self.expect(Entry::CloseMr, status, &[STATUS_PENDING]);
                }
            }
            _ => {}
        }
    }
}
