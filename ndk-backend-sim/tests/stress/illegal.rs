//! Calls that must be refused, with the statuses that may say so, and nothing else done.

use super::common::{Random, entry};
use super::ledger::Entry;
use super::world::{
    About, DOMAINS, Life, World, close_completed, create_completed, read, request_completed,
};
use ndk_core::abi::*;
use std::ptr::{addr_of, null, null_mut};
use std::sync::Arc;

/// An argument that is never right; where the state is wrong too, either may be said.
const ARGUMENT: [NTSTATUS; 2] = [STATUS_INVALID_PARAMETER, STATUS_INVALID_DEVICE_STATE];
const STATE: [NTSTATUS; 1] = [STATUS_INVALID_DEVICE_STATE];

impl World {
    /// Makes a call that must be refused with one of these.
    fn refused(&self, entry: Entry, legal: &[NTSTATUS], call: impl FnOnce(PVOID) -> NTSTATUS) {
        let context = self.ledger.begin(entry, About::Nothing);
        let status = call(context);
        self.expect(entry, status, legal);
        self.ledger.returned(context, status);
    }

    /// Some illegal call of a region whose place is held.
    pub(crate) fn misuse(&self, random: &mut Random, life: &Arc<Life>) {
        let (raw, mr) = (life.raw, life.raw.as_ptr());
        let memory = random.pick(&self.memory);
        let (mdl, length) = (memory.mdl().as_ptr(), memory.len());
        let register = |mr: *mut NDK_MR, mdl, length, flags, legal: &[NTSTATUS]| {
            // SAFETY: the region may be called; what is wrong with the arguments is what the entries promise to find
            // (A6, A7, C1 to C8, G1, G2).
            self.refused(Entry::Register, legal, |context| unsafe {
                let register = entry!(raw, NdkRegisterMr);
                register(mr, mdl, length, flags, Some(request_completed), context)
            });
        };
        let initialise = |pages, legal: &[NTSTATUS]| {
            // SAFETY: as above.
            self.refused(Entry::Initialise, legal, |context| unsafe {
                let initialise = entry!(raw, NdkInitializeFastRegisterMr);
                initialise(mr, pages, 1, Some(request_completed), context)
            });
        };
        match random.below(14) {
            0 => {
                let flags = *random.pick(&[0x4, 0x6, 0xC, 0x10, 0x8000_0001, u32::MAX]);
                register(mr, mdl, length, flags, &ARGUMENT);
            }
            1 => register(mr, mdl, 0, 1, &ARGUMENT),
            2 => register(mr, mdl, length + 1 + random.next() as usize / 2, 1, &ARGUMENT),
            3 => register(mr, null_mut(), length, 1, &ARGUMENT),
            4 => register(null_mut(), mdl, length, 1, &[STATUS_INVALID_PARAMETER]),
            5 if life.fast => register(mr, mdl, length, 1, &STATE),
            5 => initialise(1, &STATE),
            6 => initialise(0, &ARGUMENT),
            7 => initialise(512, &[STATUS_IMPLEMENTATION_LIMIT, STATUS_INVALID_DEVICE_STATE]),
            8 => self.without_completion(life, mdl, length),
            // SAFETY: as above.
            9 if life.fast => self.refused(Entry::Deregister, &STATE, |context| unsafe {
                entry!(raw, NdkDeregisterMr)(mr, Some(request_completed), context)
            }),
            9 | 10 => self.wrong_object(random, life),
            // SAFETY: as above.
            11 => self.refused(Entry::CloseMr, &[STATUS_INVALID_PARAMETER], |context| unsafe {
                entry!(raw, NdkCloseMr)(mr.cast(), None, context)
            }),
            12 => self.query(life),
            _ => {
                // SAFETY: as above.
                let tokens = unsafe {
                    let local = entry!(raw, NdkGetLocalTokenFromMr)(null_mut());
                    [local, entry!(raw, NdkGetRemoteTokenFromMr)(null_mut())]
                };
                if tokens != [0, 0] {
                    self.ledger.wrong(format!("A6: tokens of no region: {tokens:x?}"));
                }
            }
        }
    }

    /// A7: with a null completion nothing is started, and nothing has a context to come back with.
    fn without_completion(&self, life: &Life, mdl: *mut MDL, length: usize) {
        let (raw, mr) = (life.raw, life.raw.as_ptr());
        // SAFETY: as above.
        let statuses = unsafe {
            [
                entry!(raw, NdkRegisterMr)(mr, mdl, length, 1, None, null_mut()),
                entry!(raw, NdkDeregisterMr)(mr, None, null_mut()),
                entry!(raw, NdkInitializeFastRegisterMr)(mr, 1, 1, None, null_mut()),
            ]
        };
        for (entry, status) in
            [Entry::Register, Entry::Deregister, Entry::Initialise].into_iter().zip(statuses)
        {
            self.ledger.note(entry, status);
            self.expect(entry, status, &[STATUS_INVALID_PARAMETER]);
        }
    }

    /// A6: a domain is no region, and a region no domain.
    fn wrong_object(&self, random: &mut Random, life: &Life) {
        let domain = read(&self.domains[random.below(DOMAINS)]);
        let Some(pd) = domain.as_ref() else { return };
        let legal = [STATUS_INVALID_PARAMETER];
        // SAFETY: both places are held, and every object starts with its header, which tells what it is.
        unsafe {
            self.refused(Entry::Deregister, &legal, |context| {
                let deregister = entry!(life.raw, NdkDeregisterMr);
                deregister(pd.raw.as_ptr().cast(), Some(request_completed), context)
            });
            self.refused(Entry::ClosePd, &legal, |context| {
                entry!(pd.raw, NdkClosePd)(life.raw.as_ptr().cast(), Some(close_completed), context)
            });
            self.refused(Entry::CreateMr, &legal, |context| {
                let create = entry!(pd.raw, NdkCreateMr);
                create(pd.raw.as_ptr(), 0, Some(create_completed), context, null_mut())
            });
            let mut out = null_mut();
            self.refused(Entry::CreateMr, &legal, |context| {
                entry!(pd.raw, NdkCreateMr)(pd.raw.as_ptr(), 0, None, context, &mut out)
            });
            if !out.is_null() {
                self.ledger.wrong("A1: an object from a creation that was refused".into());
            }
        }
    }

    /// A5: an extension that nobody has; the out parameter stays.
    fn query(&self, life: &Life) {
        let mut id = GUID { Data1: 1, Data2: 2, Data3: 3, Data4: [4; 8] };
        let mut out = NDK_EXTENSION_INTERFACE { Dispatch: null() };
        let version = super::common::VERSION;
        // SAFETY: the region may be called, and the pointers are valid.
        let status = unsafe {
            let query = entry!(life.raw, NdkQueryExtension);
            query(life.raw.as_ptr().cast(), &mut id, version, &mut out)
        };
        self.ledger.note(Entry::QueryExtension, status);
        self.expect(Entry::QueryExtension, status, &[STATUS_NOT_SUPPORTED]);
        if !out.Dispatch.is_null() {
            self.ledger.wrong("A5: an interface that nobody has".into());
        }
    }
}
