//! The framework under the model: makes each call through the C tables, and says what came of it.

use crate::call::{Call, Mood, Object};
use crate::model::{MAX_REGISTRATION, REGIONS};
use crate::other_calls::tokens;
use crate::tiny::{Mood as TinyMood, Tiny};
use ndk_core::abi::*;
use ndk_core::{Executor, Opened, Std, Task};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::ptr::{addr_of, null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

/// Tasks wait to be pumped, or are dropped.
#[derive(Default)]
pub(crate) struct Queue {
    tasks: Mutex<VecDeque<Task>>,
    drops: AtomicBool,
}

impl Queue {
    fn run(&self) {
        loop {
            let next = self.tasks.lock().unwrap().pop_front();
            let Some(mut task) = next else { return };
            if pin!(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_pending() {
                self.tasks.lock().unwrap().push_back(task);
            }
        }
    }
}

impl Executor for Queue {
    fn spawn(&self, task: Task) {
        if !self.drops.load(Ordering::Relaxed) {
            self.tasks.lock().unwrap().push_back(task);
        }
    }
}

/// What came back through a callback, and how often.
#[derive(Default)]
pub(crate) struct Answer {
    calls: usize,
    status: NTSTATUS,
    pub(crate) object: Option<*mut NDK_OBJECT_HEADER>,
}

/// # Safety
/// `context` is that of a request, whose answer is waited for.
unsafe fn answer(context: PVOID, status: NTSTATUS, object: *mut NDK_OBJECT_HEADER) {
    // SAFETY: the caller's promise.
    let answer = unsafe { &*context.cast::<Mutex<Answer>>() };
    let mut answer = answer.lock().unwrap();
    answer.calls += 1;
    answer.status = status;
    answer.object = Some(object);
}

pub(crate) unsafe extern "system" fn requested(context: PVOID, status: NTSTATUS) {
    // SAFETY: every context is one of `World::call`; likewise below.
    unsafe { answer(context, status, null_mut()) };
}

pub(crate) unsafe extern "system" fn created(
    context: PVOID,
    status: NTSTATUS,
    object: *mut NDK_OBJECT_HEADER,
) {
    // SAFETY: as above.
    unsafe { answer(context, status, object) };
}

unsafe extern "system" fn closed(context: PVOID) {
    // SAFETY: as above.
    unsafe { answer(context, STATUS_SUCCESS, null_mut()) };
}

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Came {
    pub(crate) status: NTSTATUS,
    pub(crate) pended: bool,
}

/// An open adapter with everything made from it.
pub(crate) struct World {
    pub(crate) opened: Option<Opened<Tiny, Std>>,
    pub(crate) adapter: *mut NDK_ADAPTER,
    queue: Arc<Queue>,
    mood: Arc<TinyMood>,
    pub(crate) regions: Vec<*mut NDK_MR>,
    pub(crate) domains: Vec<*mut NDK_PD>,
}

/// The entry of an object's table.
macro_rules! entry {
    ($object:expr, $name:ident) => {
        (*addr_of!((*$object).Dispatch).read()).$name.expect(stringify!($name))
    };
}
pub(crate) use entry;

pub(crate) fn given<T>(object: Object, right: *mut T, wrong: *mut T) -> *mut T {
    match object {
        Object::Right => right,
        Object::Null => null_mut(),
        Object::Wrong => wrong,
    }
}

impl World {
    pub(crate) fn new() -> Self {
        let mut tiny = Tiny::with_region_limit(REGIONS);
        tiny.max_registration = MAX_REGISTRATION;
        let (mood, queue) = (tiny.mood(), Arc::<Queue>::default());
        let version = NDK_VERSION { Major: 2, Minor: 0 };
        let opened = Opened::<_, Std>::new(tiny, queue.clone(), version).expect("it opens");
        let adapter = opened.adapter().as_ndk().as_ptr();
        let (regions, domains) = (Vec::new(), Vec::new());
        Self { opened: Some(opened), adapter, queue, mood, regions, domains }
    }

    pub(crate) fn region(&self, place: usize) -> *mut NDK_MR {
        self.regions[place % self.regions.len()]
    }

    pub(crate) fn domain(&self, place: usize) -> *mut NDK_PD {
        self.domains[place % self.domains.len()]
    }

    /// Makes a request, and runs the executor until it is over.
    pub(crate) fn request(
        &mut self,
        entry: impl FnOnce(&mut Self, PVOID) -> NTSTATUS,
    ) -> (Came, Answer) {
        let answer = Box::new(Mutex::new(Answer::default()));
        let context = (&raw const *answer).cast_mut().cast();
        let returned = entry(self, context);
        self.queue.run();
        let answer = answer.into_inner().unwrap();
        let pended = returned == STATUS_PENDING;
        assert_eq!(answer.calls, usize::from(pended), "B1, B2: returned {returned:#x}");
        let status = if pended { answer.status } else { returned };
        (Came { status, pended }, answer)
    }

    /// Makes the call.
    pub(crate) fn call(&mut self, call: &Call) -> Came {
        // For every block below: objects are alive, null or of another type; chains, out pointers and contexts
        // outlive the request, which is waited for.
        match *call {
            Call::CreatePd { object, completion, out } => {
                let mut made = null_mut();
                let out = if out { &raw mut made } else { null_mut() };
                // SAFETY: as said above.
                let (came, answer) = self.request(|world, context| unsafe {
                    let wrong = world.domains.first().map_or(null_mut(), |pd| pd.cast());
                    let adapter = given(object, world.adapter, wrong);
                    let done = completion.then_some(created as NDK_FN_CREATE_COMPLETION);
                    entry!(world.adapter, NdkCreatePd)(adapter, done, context, out)
                });
                let made = answer.object.map_or(made, <*mut _>::cast);
                self.domains.extend((came.status == STATUS_SUCCESS).then_some(made));
                came
            }
            Call::CreateMr { domain, object, fast, completion, out } => {
                let mut made = null_mut();
                let out = if out { &raw mut made } else { null_mut() };
                let right = self.domain(domain);
                // SAFETY: as said above.
                let (came, answer) = self.request(|world, context| unsafe {
                    let pd = given(object, right, world.adapter.cast());
                    let done = completion.then_some(created as NDK_FN_CREATE_COMPLETION);
                    entry!(right, NdkCreateMr)(pd, u8::from(fast) * 7, done, context, out)
                });
                let made = answer.object.map_or(made, <*mut _>::cast);
                self.regions.extend((came.status == STATUS_SUCCESS).then_some(made));
                came
            }
            Call::Register(ref register) => self.register(register),
            Call::Deregister { region, object, completion } => {
                let right = self.region(region);
                // SAFETY: as said above.
                self.request(|world, context| unsafe {
                    let mr = given(object, right, world.adapter.cast());
                    let done = completion.then_some(requested as NDK_FN_REQUEST_COMPLETION);
                    entry!(right, NdkDeregisterMr)(mr, done, context)
                })
                .0
            }
            Call::Initialise { region, object, pages, remote, completion } => {
                let right = self.region(region);
                // SAFETY: as said above.
                self.request(|world, context| unsafe {
                    let mr = given(object, right, world.domains[0].cast());
                    let done = completion.then_some(requested as NDK_FN_REQUEST_COMPLETION);
                    let remote = u8::from(remote) * 0x80;
                    entry!(right, NdkInitializeFastRegisterMr)(mr, pages, remote, done, context)
                })
                .0
            }
            Call::CloseMr { region, object, completion } => {
                let right = self.region(region);
                // SAFETY: as said above.
                let (came, _) = self.request(|world, context| unsafe {
                    let mr = given(object, right, world.adapter.cast());
                    let done = completion.then_some(closed as NDK_FN_CLOSE_COMPLETION);
                    entry!(right, NdkCloseMr)(mr.cast(), done, context)
                });
                if came.status == STATUS_SUCCESS {
                    self.regions.retain(|&region| region != right);
                }
                came
            }
            Call::ClosePd { domain, object, completion } => {
                let right = self.domain(domain);
                // SAFETY: as said above.
                let (came, _) = self.request(|world, context| unsafe {
                    let pd = given(object, right, world.adapter.cast());
                    let done = completion.then_some(closed as NDK_FN_CLOSE_COMPLETION);
                    entry!(right, NdkClosePd)(pd.cast(), done, context)
                });
                if came.status == STATUS_SUCCESS {
                    self.domains.retain(|&domain| domain != right);
                }
                came
            }
            Call::Tokens { region, object } => {
                let right = self.region(region);
                if object != Object::Right {
                    let mr = given(object, right, self.adapter.cast());
                    // SAFETY: as said above.
                    assert_eq!(unsafe { tokens(right, mr) }, (0, 0), "A6");
                }
                Came { status: STATUS_SUCCESS, pended: false }
            }
            Call::Query { region, object, id, out } => {
                let right = self.region(region);
                let (mut guid, mut interface) =
                    (GUID::default(), NDK_EXTENSION_INTERFACE { Dispatch: null() });
                let id = if id { &raw mut guid } else { null_mut() };
                let out = if out { &raw mut interface } else { null_mut() };
                let version = NDK_VERSION { Major: 9, Minor: 9 };
                // SAFETY: as said above.
                let status = unsafe {
                    let mr = given(object, right, self.adapter.cast());
                    entry!(right, NdkQueryExtension)(mr.cast(), id, version, out)
                };
                Came { status, pended: false }
            }
            Call::CreateOther { object, completion } => self.create_other(object, completion),
            Call::Info { object, size, info } => self.info(object, size, info),
            Call::BuildLam { .. } => self.build(call),
            Call::Mood(mood) => {
                match mood {
                    Mood::Yields(yields) => self.mood.yields.store(yields, Ordering::Relaxed),
                    Mood::Drops(drops) => self.queue.drops.store(drops, Ordering::Relaxed),
                    Mood::Lost(lost) => self.mood.lost.store(lost, Ordering::Relaxed),
                    Mood::Panic => self.mood.panics.store(true, Ordering::Relaxed),
                    Mood::Fail => self.mood.fails.store(true, Ordering::Relaxed),
                }
                Came { status: STATUS_SUCCESS, pended: false }
            }
        }
    }
}
