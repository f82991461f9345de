//! The calls with the most arguments, and the end of a world.

use crate::call::{Call, Object, Register};
use crate::world::{Came, World, created, entry, given, requested};
use ndk_core::abi::*;
use std::ptr::{addr_of, null, null_mut};

/// The tokens that the table of `region` gives for `mr`: local, remote.
///
/// # Safety
/// `region` is alive; `mr` is too, or null, or another live object.
pub(crate) unsafe fn tokens(region: *mut NDK_MR, mr: *mut NDK_MR) -> (u32, u32) {
    // SAFETY: the caller's promise.
    unsafe {
        (entry!(region, NdkGetLocalTokenFromMr)(mr), entry!(region, NdkGetRemoteTokenFromMr)(mr))
    }
}

impl World {
    pub(crate) fn register(&mut self, register: &Register) -> Came {
        let Register { region, object, ref chain, length, flags, completion } = *register;
        let right = self.region(region);
        let (built, length) = (chain.build(), chain.bytes(length));
        let (came, _) = self.request(|world, context| {
            let mr = given(object, right, world.adapter.cast());
            let done = completion.then_some(requested as NDK_FN_REQUEST_COMPLETION);
            // SAFETY: the region is alive, null or of another type; the chain outlives the request.
            unsafe { entry!(right, NdkRegisterMr)(mr, built.head, length, flags, done, context) }
        });
        came
    }

    /// Everything that cannot be created through C answers alike.
    pub(crate) fn create_other(&mut self, object: Object, completion: bool) -> Came {
        let (domain, adapter) = (self.domain(0), self.adapter);
        let pd = given(object, domain, adapter.cast());
        let of = given(object, adapter, domain.cast());
        let done = completion.then_some(created as NDK_FN_CREATE_COMPLETION);
        let no = null_mut();
        // SAFETY: domain and adapter are alive, null or of another type; what else is null may be so.
        let all = unsafe {
            [
                self.other(|c, out| entry!(domain, NdkCreateMw)(pd, done, c, out.cast())),
                self.other(|c, out| {
                    let create = entry!(domain, NdkCreateSrq);
                    create(pd, 1, 1, 0, None, no, no.cast(), done, c, out.cast())
                }),
                self.other(|c, out| {
                    let create = entry!(domain, NdkCreateQp);
                    create(pd, no.cast(), no.cast(), no, 1, 1, 1, 1, 0, done, c, out.cast())
                }),
                self.other(|c, out| {
                    let (cq, srq) = (no.cast(), no.cast());
                    let create = entry!(domain, NdkCreateQpWithSrq);
                    create(pd, cq, cq, srq, no, 1, 1, 0, done, c, out.cast())
                }),
                self.other(|c, out| {
                    let create = entry!(adapter, NdkCreateCq);
                    create(of, 1, None, no, no.cast(), done, c, out.cast())
                }),
                self.other(|c, out| {
                    let create = entry!(adapter, NdkCreateSharedEndpoint);
                    create(of, no.cast(), 0, done, c, out.cast())
                }),
                self.other(|c, out| entry!(adapter, NdkCreateConnector)(of, done, c, out.cast())),
                self.other(|c, out| {
                    entry!(adapter, NdkCreateListener)(of, None, no, done, c, out.cast())
                }),
            ]
        };
        assert_eq!(all, [all[0]; 8]);
        all[0]
    }

    fn other(&mut self, create: impl FnOnce(PVOID, *mut PVOID) -> NTSTATUS) -> Came {
        let mut made = null_mut();
        let (came, answer) = self.request(|_, context| create(context, &raw mut made));
        assert!(answer.object.is_none() && made.is_null(), "A1: nothing is created");
        came
    }

    pub(crate) fn info(&mut self, object: Object, size: Option<u32>, info: bool) -> Came {
        let mut size = size;
        let given_size = size;
        let mut stored = NDK_ADAPTER_INFO::default();
        let adapter = given(object, self.adapter, self.domain(0).cast());
        let out = if info { &raw mut stored } else { null_mut() };
        let length = size.as_mut().map_or(null_mut(), |size| &raw mut *size);
        // SAFETY: the adapter is alive, null or of another type; the pointers are null or live.
        let status = unsafe { entry!(self.adapter, NdkQueryAdapterInfo)(adapter, out, length) };
        let is_stored = stored != NDK_ADAPTER_INFO::default();
        assert_eq!(is_stored, status == STATUS_SUCCESS, "stored only with a success");
        if object == Object::Right && given_size.is_some() {
            assert_eq!(size, Some(size_of::<NDK_ADAPTER_INFO>() as u32), "the size needed");
        }
        let (mut id, version) = (GUID::default(), NDK_VERSION { Major: 9, Minor: 9 });
        let mut found = NDK_EXTENSION_INTERFACE { Dispatch: null() };
        // SAFETY: as above.
        let asked = unsafe {
            let query = entry!(self.adapter, NdkQueryExtension);
            query(adapter.cast(), &raw mut id, version, &raw mut found)
        };
        let is_right = object == Object::Right;
        let expected = if is_right { STATUS_NOT_SUPPORTED } else { STATUS_INVALID_PARAMETER };
        assert_eq!(asked, expected, "A5, A6");
        Came { status, pended: false }
    }

    pub(crate) fn build(&mut self, call: &Call) -> Came {
        let Call::BuildLam { object, ref chain, length, room, fbo } = *call else {
            unreachable!("the caller looked");
        };
        let (built, length) = (chain.build(), chain.bytes(length));
        let header = size_of::<NDK_LOGICAL_ADDRESS_MAPPING>() - size_of::<u64>();
        let mut buffer = vec![u64::MAX; header / 8 + room + 1];
        let mut size = if room == 0 { 0 } else { (header + room * 8) as ULONG };
        let mut offset = ULONG::MAX;
        let (lam, size) = (buffer.as_mut_ptr().cast(), &raw mut size);
        let fbo = if fbo { &raw mut offset } else { null_mut() };
        let domain = self.domain(0);
        let (came, _) = self.request(|world, context| {
            let adapter = given(object, world.adapter, domain.cast());
            let done = Some(requested as NDK_FN_REQUEST_COMPLETION);
            // SAFETY: the adapter is alive, null or of another type; chain and buffers outlive the request.
            unsafe {
                entry!(world.adapter, NdkBuildLAM)(
                    adapter, built.head, length, done, context, lam, size, fbo,
                )
            }
        });
        if came.status == STATUS_SUCCESS {
            assert_eq!(buffer[header / 8 + room], u64::MAX, "no word behind the buffer");
            // SAFETY: built just now, and released once.
            unsafe { entry!(self.adapter, NdkReleaseLAM)(self.adapter, lam) };
        } else {
            assert!(buffer.iter().all(|&word| word == u64::MAX), "L4: nothing is stored");
            let adapter = given(object, self.adapter, domain.cast());
            // SAFETY: as above; no mapping is a line in the log (L4).
            unsafe { entry!(self.adapter, NdkReleaseLAM)(adapter, null_mut()) };
        }
        came
    }

    /// Closes everything; nothing may be left.
    pub(crate) fn end(mut self) {
        for place in (0..self.regions.len()).rev() {
            let close = Call::CloseMr { region: place, object: Object::Right, completion: true };
            assert_eq!(self.call(&close).status, STATUS_SUCCESS, "H1");
        }
        for place in (0..self.domains.len()).rev() {
            let close = Call::ClosePd { domain: place, object: Object::Right, completion: true };
            assert_eq!(self.call(&close).status, STATUS_SUCCESS, "H1");
        }
        let opened = self.opened.take().expect("it is open");
        assert!(opened.try_close().is_ok(), "H5: everything is closed");
    }
}
