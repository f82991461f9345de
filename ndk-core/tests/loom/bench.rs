//! The consumer of a model: its objects, its callbacks, and a record of what it was told, in order.

use crate::device::{Device, Modelled};
use core::mem::ManuallyDrop;
use core::ptr::{NonNull, null_mut};
use ndk_core::abi::{
    MDL, MDL_PAGES_LOCKED, NDK_MR_FLAG_ALLOW_LOCAL_WRITE, NDK_OBJECT_HEADER, NDK_VERSION, NTSTATUS,
    PVOID,
};
use ndk_core::{AdapterRef, DomainRef, Executor, Opened, Progress, RegionKind, RegionRef, Result};
use std::sync::{Arc, Mutex};

pub(crate) type Mr = RegionRef<Device, Modelled>;
pub(crate) type Pd = DomainRef<Device, Modelled>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Created(NTSTATUS),
    Request(NTSTATUS),
    MrClosed,
    PdClosed,
}

/// The context of every request of a model. It outlives the model's threads.
pub(crate) struct Consumer {
    // Loom's lock, so that who reads it is explored before and after each callback.
    record: loom::sync::Mutex<Vec<Event>>,
    /// What the callback of a request, or of a region's creation, does with the region.
    then: fn(&Consumer, Mr),
    region: Mutex<Option<Mr>>,
    pub(crate) notes: Mutex<Vec<Result<Progress>>>,
}

impl Consumer {
    fn context(&self) -> PVOID {
        core::ptr::from_ref(self).cast_mut().cast()
    }

    fn note(&self, event: Event) {
        self.record.lock().unwrap().push(event);
    }

    pub(crate) fn record(&self) -> Vec<Event> {
        self.record.lock().unwrap().clone()
    }

    pub(crate) fn count(&self, event: Event) -> usize {
        self.record().iter().filter(|&&other| other == event).count()
    }

    /// # Safety
    /// `context` is a live consumer's.
    unsafe fn of<'a>(context: PVOID) -> &'a Self {
        // SAFETY: the caller's promise.
        unsafe { &*context.cast::<Self>() }
    }

    pub(crate) fn register(&self, mr: Mr) -> Result<Progress> {
        let flags = NDK_MR_FLAG_ALLOW_LOCAL_WRITE;
        // SAFETY: the models use a region only until its close; the chain is static.
        unsafe { mr.register(&PAGE.mdl, 16, flags, Some(request_done), self.context()) }
    }

    pub(crate) fn deregister(&self, mr: Mr) -> Result<Progress> {
        // SAFETY: as above.
        unsafe { mr.deregister(Some(request_done), self.context()) }
    }

    pub(crate) fn initialise(&self, mr: Mr, pages: u32) -> Result<Progress> {
        // SAFETY: as above.
        unsafe { mr.initialize_fast_register(pages, false, Some(request_done), self.context()) }
    }

    pub(crate) fn close(&self, mr: Mr) -> Progress {
        // SAFETY: as above.
        unsafe { mr.close(Some(mr_closed), self.context()) }.expect("a first close is not refused")
    }

    pub(crate) fn close_domain(&self, pd: Pd) -> Progress {
        // SAFETY: as above, for domains.
        unsafe { pd.close(Some(pd_closed), self.context()) }.expect("a first close is not refused")
    }

    /// A region, and how its creation went; where it pends the callback gets it.
    pub(crate) fn create(&self, pd: Pd, kind: RegionKind) -> (Result<Progress>, Option<Mr>) {
        let mut out = null_mut();
        // SAFETY: as above.
        let progress = unsafe { pd.create_mr(kind, Some(created), self.context(), &mut out) };
        // SAFETY: what a creation stores is a region of these types.
        (progress, NonNull::new(out).map(|mr| unsafe { Mr::from_ndk(mr) }))
    }
}

unsafe extern "system" fn request_done(context: PVOID, status: NTSTATUS) {
    // SAFETY: every request of a model has its consumer as the context.
    let consumer = unsafe { Consumer::of(context) };
    consumer.note(Event::Request(status));
    let region = *consumer.region.lock().unwrap();
    if let Some(mr) = region {
        (consumer.then)(consumer, mr);
    }
}

unsafe extern "system" fn created(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    // SAFETY: as above.
    let consumer = unsafe { Consumer::of(context) };
    consumer.note(Event::Created(status));
    if let Some(mr) = NonNull::new(object) {
        // SAFETY: it is a region of these types.
        (consumer.then)(consumer, unsafe { Mr::from_ndk(mr.cast()) });
    }
}

unsafe extern "system" fn mr_closed(context: PVOID) {
    // SAFETY: as above.
    unsafe { Consumer::of(context) }.note(Event::MrClosed);
}

unsafe extern "system" fn pd_closed(context: PVOID) {
    // SAFETY: as above.
    unsafe { Consumer::of(context) }.note(Event::PdClosed);
}

/// An adapter with a domain in it.
pub(crate) struct Bench {
    // A model that failed leaks it: outside the model its drop would fail once more.
    opened: ManuallyDrop<Opened<Device, Modelled>>,
    pub(crate) pd: Pd,
    pub(crate) consumer: Arc<Consumer>,
}

impl Bench {
    pub(crate) fn new(
        device: Device,
        executor: Arc<dyn Executor>,
        then: fn(&Consumer, Mr),
    ) -> Self {
        let opened = Opened::new(device, executor, NDK_VERSION { Major: 2, Minor: 0 }).unwrap();
        let consumer = Arc::new(Consumer {
            record: loom::sync::Mutex::new(Vec::new()),
            then,
            region: Mutex::default(),
            notes: Mutex::default(),
        });
        let pd = Self::domain(opened.adapter(), &consumer);
        Self { opened: ManuallyDrop::new(opened), pd, consumer }
    }

    fn domain(adapter: AdapterRef<Device, Modelled>, consumer: &Consumer) -> Pd {
        let mut out = null_mut();
        // SAFETY: the adapter is open.
        let progress = unsafe { adapter.create_pd(Some(created), consumer.context(), &mut out) };
        assert_eq!(progress, Ok(Progress::Done));
        // SAFETY: a creation that is done has stored a domain of these types.
        unsafe { Pd::from_ndk(NonNull::new(out).unwrap()) }
    }

    /// A region, created inline, which is what the callbacks act on.
    pub(crate) fn region(&self, kind: RegionKind) -> Mr {
        let mr = self.consumer.create(self.pd, kind).1.expect("the device creates inline");
        *self.consumer.region.lock().unwrap() = Some(mr);
        mr
    }

    /// The opener, for a close that waits.
    pub(crate) fn take(self) -> Opened<Device, Modelled> {
        ManuallyDrop::into_inner(self.opened)
    }

    /// Everything was closed: the adapter has nothing left to wait for.
    pub(crate) fn end(self) {
        self.take().try_close().expect("everything is closed");
    }

    /// Closes the domain, of which nothing is left, and the adapter.
    pub(crate) fn end_all(self) {
        assert_eq!(self.consumer.close_domain(self.pd), Progress::Done);
        self.end();
    }
}

/// For callbacks that do no more than note.
pub(crate) fn nothing(_consumer: &Consumer, _mr: Mr) {}

/// An MDL with its one page-frame number; no model touches the page.
#[repr(C)]
struct OnePage {
    mdl: MDL,
    frame: usize,
}

// SAFETY: it is read only.
unsafe impl Sync for OnePage {}

static PAGE: OnePage = OnePage {
    mdl: MDL {
        Next: null_mut(),
        Size: size_of::<OnePage>() as i16,
        MdlFlags: MDL_PAGES_LOCKED,
        Process: null_mut(),
        MappedSystemVa: null_mut(),
        StartVa: 0x1000 as PVOID,
        ByteCount: 16,
        ByteOffset: 0,
    },
    frame: 1,
};
