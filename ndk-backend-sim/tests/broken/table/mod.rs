//! Defects of the framework's part: a layer over the C tables, which every object carries in place of its own (A4).

mod completion;
mod entries;
pub(crate) mod next;

mod a;
mod b;
mod c;
mod d_to_g;
mod h_to_l;

pub(crate) use completion::{Close, Create, Request};

use ndk_core::abi::*;
use std::collections::HashMap;
use std::ptr::addr_of;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// What is to be registered.
#[derive(Clone, Copy)]
pub(crate) struct Registration {
    pub(crate) mdl: *mut MDL,
    pub(crate) length: SIZE_T,
    pub(crate) flags: ULONG,
}

/// What a region is initialised for.
#[derive(Clone, Copy)]
pub(crate) struct Pages {
    pub(crate) count: ULONG,
    pub(crate) remote: BOOLEAN,
}

/// Which extension is asked for, and where it goes.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) id: *mut GUID,
    pub(crate) version: NDK_VERSION,
    pub(crate) out: *mut NDK_EXTENSION_INTERFACE,
}

/// The entries of a layer. What a defect does not change goes to the framework.
///
/// # Safety
/// Each method has the conditions of the C entry that it is.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
pub(crate) trait Hooks: Send + Sync {
    /// Sees a fresh object.
    unsafe fn created(&self, _object: *mut NDK_OBJECT_HEADER) {}
    /// Changes what regions carry.
    fn mr_table(&self, _table: &mut NDK_MR_DISPATCH) {}
    /// Changes what domains carry.
    fn pd_table(&self, _table: &mut NDK_PD_DISPATCH) {}

    unsafe fn create_pd(
        &self,
        adapter: *mut NDK_ADAPTER,
        done: Create,
        out: *mut *mut NDK_PD,
    ) -> NTSTATUS {
        unsafe { next::create_pd(adapter, done, out) }
    }
    unsafe fn build_mapping(
        &self,
        adapter: *mut NDK_ADAPTER,
        memory: (*mut MDL, SIZE_T),
        done: Request,
        lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
        numbers: (*mut ULONG, *mut ULONG),
    ) -> NTSTATUS {
        unsafe { next::build_mapping(adapter, memory, done, lam, numbers) }
    }
    unsafe fn close_pd(&self, pd: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
        unsafe { next::close_pd(pd, done) }
    }
    unsafe fn query_pd(&self, pd: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
        unsafe { next::query_pd(pd, asked) }
    }
    unsafe fn create_mr(
        &self,
        pd: *mut NDK_PD,
        fast: BOOLEAN,
        done: Create,
        out: *mut *mut NDK_MR,
    ) -> NTSTATUS {
        unsafe { next::create_mr(pd, fast, done, out) }
    }
    unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
        unsafe { next::close_mr(mr, done) }
    }
    unsafe fn query_mr(&self, mr: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
        unsafe { next::query_mr(mr, asked) }
    }
    unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
        unsafe { next::register(mr, asked, done) }
    }
    unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
        unsafe { next::deregister(mr, done) }
    }
    unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
        unsafe { next::initialise(mr, asked, done) }
    }
    unsafe fn local_token(&self, mr: *mut NDK_MR) -> UINT32 {
        unsafe { next::local_token(mr) }
    }
    unsafe fn remote_token(&self, mr: *mut NDK_MR) -> UINT32 {
        unsafe { next::remote_token(mr) }
    }
}

/// A layer that changes nothing.
struct Sound;

impl Hooks for Sound {}

static HOOKS: OnceLock<Box<dyn Hooks>> = OnceLock::new();

fn hooks() -> &'static dyn Hooks {
    &**HOOKS.get().expect("installed before the kit runs")
}

/// The layer with a defect of this name.
pub(crate) fn find(name: &str) -> Option<Box<dyn Hooks>> {
    [a::find, b::find, c::find, d_to_g::find, h_to_l::find].iter().find_map(|find| find(name))
}

/// Has this process's objects carry the layer.
pub(crate) fn install(hooks: Option<Box<dyn Hooks>>) {
    let hooks = hooks.unwrap_or_else(|| Box::new(Sound));
    assert!(HOOKS.set(hooks).is_ok(), "one provider to a process");
}

/// Puts the layer over an adapter.
pub(crate) fn layer(adapter: *mut NDK_ADAPTER) {
    // SAFETY: the kit has just opened it, and nobody uses it yet.
    unsafe { adopt(adapter.cast()) };
}

/// What the layer knows of an object beside its address, which may be another's later.
#[derive(Clone, Copy, Default)]
pub(crate) struct Known {
    /// Counts the objects.
    pub(crate) serial: usize,
    /// The serial number of a region's domain.
    pub(crate) parent: usize,
    /// Whether a region is for fast registration.
    pub(crate) fast: bool,
}

static OBJECTS: Mutex<Option<HashMap<usize, Known>>> = Mutex::new(None);

/// What is known of an object; of a null or wrong one, nothing.
pub(crate) fn known<T>(object: *mut T) -> Known {
    lock(&OBJECTS).get_or_insert_default().get(&object.addr()).copied().unwrap_or_default()
}

fn serial(object: *mut NDK_OBJECT_HEADER) -> usize {
    known(object).serial
}

/// Which domain a region was made in.
fn note_parent(region: *mut NDK_OBJECT_HEADER, parent: usize, fast: bool) {
    if let Some(known) = lock(&OBJECTS).get_or_insert_default().get_mut(&region.addr()) {
        *known = Known { parent, fast, ..*known };
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// # Safety
/// `object` is a fresh adapter, domain or region.
unsafe fn adopt(object: *mut NDK_OBJECT_HEADER) {
    static COUNT: Mutex<usize> = Mutex::new(0);
    let serial = {
        let mut count = lock(&COUNT);
        *count += 1;
        *count
    };
    let known = Known { serial, ..Known::default() };
    lock(&OBJECTS).get_or_insert_default().insert(object.addr(), known);
    // SAFETY: the caller's promise: the object is of the type that its header says.
    unsafe {
        let kind = addr_of!((*object).ObjectType).read();
        if kind == NdkObjectTypeAdapter {
            entries::take_over_adapter(object.cast());
        } else if kind == NdkObjectTypePd {
            entries::take_over_pd(object.cast());
        } else {
            entries::take_over_mr(object.cast());
        }
        hooks().created(object);
    }
}

/// Something noted of each object; nothing of a fresh one.
#[derive(Default)]
pub(crate) struct Notes<T>(Mutex<HashMap<usize, T>>);

impl<T: Clone + Default> Notes<T> {
    pub(crate) fn get<O>(&self, object: *mut O) -> T {
        lock(&self.0).get(&known(object).serial).cloned().unwrap_or_default()
    }

    pub(crate) fn set<O>(&self, object: *mut O, value: T) {
        lock(&self.0).insert(known(object).serial, value);
    }
}
