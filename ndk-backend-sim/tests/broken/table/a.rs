//! Section A: the object and its table.

use super::entries::table;
use super::{Close, Create, Hooks, Notes, Pages, Question, Registration, Request, known, next};
use ndk_core::abi::*;
use std::ptr::{addr_of, addr_of_mut, dangling, null, null_mut, without_provenance_mut};

pub(super) fn find(name: &str) -> Option<Box<dyn Hooks>> {
    Some(match name {
        "failed_creation_calls_back" => Box::new(FailedCreationCallsBack),
        "failed_creation_stores_null" => Box::new(FailedCreationStoresNull),
        "null_out_is_short" => Box::new(NullOutIsShort),
        "header_has_another_version" => Box::new(HeaderHasAnotherVersion),
        "block_is_not_zeroed" => Box::new(BlockIsNotZeroed),
        "entry_is_missing" => Box::new(EntryIsMissing),
        "register_writes_the_block" => Box::new(RegisterWritesTheBlock),
        "creation_writes_the_domains_block" => Box::new(CreationWritesTheDomainsBlock),
        "creation_writes_the_adapters_block" => Box::new(CreationWritesTheAdaptersBlock),
        "initialise_writes_the_block" => Box::new(InitialiseWritesTheBlock),
        "mapping_writes_the_adapters_block" => Box::new(MappingWritesTheAdaptersBlock),
        "failed_register_writes_the_block" => Box::new(FailedRegisterWritesTheBlock),
        "register_reads_dispatch" => Box::new(RegisterReadsDispatch),
        "fast_region_has_every_extension" => Box::new(FastRegionHasEveryExtension),
        "unknown_extension_is_stored" => Box::new(UnknownExtensionIsStored),
        "question_takes_the_token" => Box::new(QuestionTakesTheToken::default()),
        "question_waits_for_requests" => Box::new(QuestionWaitsForRequests::default()),
        "null_region_is_a_state" => Box::new(NullRegionIsAState),
        "domain_is_taken_for_a_region" => Box::new(DomainIsTakenForARegion),
        "null_region_has_a_token" => Box::new(NullRegionHasAToken),
        "null_completion_is_taken" => Box::new(NullCompletionIsTaken),
        "null_close_completion_is_a_state" => Box::new(NullCloseCompletionIsAState),
        _ => return None,
    })
}

/// Calls the creation's completion although the entry has failed inline.
struct FailedCreationCallsBack;
/// Stores null through the out pointer of a creation that fails.
struct FailedCreationStoresNull;
/// Another status for a null out pointer.
struct NullOutIsShort;
struct HeaderHasAnotherVersion;
struct BlockIsNotZeroed;
struct EntryIsMissing;
/// Keeps the length of the registration in the consumer's block.
struct RegisterWritesTheBlock;
/// Keeps the last of a domain's regions in the domain's block.
struct CreationWritesTheDomainsBlock;
/// Counts domains in the adapter's block.
struct CreationWritesTheAdaptersBlock;
/// Keeps the page count of a region for fast registration in the consumer's block.
struct InitialiseWritesTheBlock;
/// Keeps the last mapping in the adapter's block.
struct MappingWritesTheAdaptersBlock;
/// Keeps a shortage in the consumer's block.
struct FailedRegisterWritesTheBlock;
/// Finds its way by `Dispatch`.
struct RegisterReadsDispatch;
struct FastRegionHasEveryExtension;
struct UnknownExtensionIsStored;
/// After a question the local token is 0, until the region is registered again.
#[derive(Default)]
struct QuestionTakesTheToken(Notes<bool>);
/// While an initialisation is pending a question is DEVICE_BUSY.
#[derive(Default)]
struct QuestionWaitsForRequests(std::sync::Arc<Notes<bool>>);
struct NullRegionIsAState;
struct DomainIsTakenForARegion;
struct NullRegionHasAToken;
/// Starts a registration whose end nobody will be told.
struct NullCompletionIsTaken;
struct NullCloseCompletionIsAState;

unsafe extern "system" fn nobody(_: PVOID, _: NTSTATUS) {}

// SAFETY of each block in this file: the hooks have the conditions of the C entries, and what a defect does beside is
// what the kit is to find: no memory is touched that an entry may not touch.
#[allow(clippy::undocumented_unsafe_blocks)] // said once, above
mod defects {
    use super::*;

    impl Hooks for FailedCreationCallsBack {
        unsafe fn create_pd(
            &self,
            adapter: *mut NDK_ADAPTER,
            done: Create,
            out: *mut *mut NDK_PD,
        ) -> NTSTATUS {
            unsafe {
                let status = next::create_pd(adapter, done, out);
                if status == STATUS_INSUFFICIENT_RESOURCES {
                    done.call((status, null_mut()));
                }
                status
            }
        }
    }

    impl Hooks for FailedCreationStoresNull {
        unsafe fn create_pd(
            &self,
            adapter: *mut NDK_ADAPTER,
            done: Create,
            out: *mut *mut NDK_PD,
        ) -> NTSTATUS {
            unsafe {
                let status = next::create_pd(adapter, done, out);
                if status == STATUS_INSUFFICIENT_RESOURCES {
                    *out = null_mut();
                }
                status
            }
        }
    }

    impl Hooks for NullOutIsShort {
        unsafe fn create_mr(
            &self,
            pd: *mut NDK_PD,
            fast: BOOLEAN,
            done: Create,
            out: *mut *mut NDK_MR,
        ) -> NTSTATUS {
            if out.is_null() {
                return STATUS_INSUFFICIENT_RESOURCES;
            }
            unsafe { next::create_mr(pd, fast, done, out) }
        }
    }

    impl Hooks for HeaderHasAnotherVersion {
        unsafe fn created(&self, object: *mut NDK_OBJECT_HEADER) {
            unsafe {
                if addr_of!((*object).ObjectType).read() == NdkObjectTypeMr {
                    addr_of_mut!((*object).Version.Minor).write(7);
                }
            }
        }
    }

    impl Hooks for BlockIsNotZeroed {
        unsafe fn created(&self, object: *mut NDK_OBJECT_HEADER) {
            unsafe {
                if addr_of!((*object).ObjectType).read() == NdkObjectTypePd {
                    addr_of_mut!((*object).NdkReserved.rf[3]).write(object.cast());
                }
            }
        }
    }

    impl Hooks for EntryIsMissing {
        fn pd_table(&self, table: &mut NDK_PD_DISPATCH) {
            table.NdkCreateSrq = None;
        }
    }

    impl Hooks for RegisterWritesTheBlock {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            unsafe {
                if known(mr).serial != 0 {
                    addr_of_mut!((*mr).Header.NdkReserved.rf[0])
                        .write(without_provenance_mut(asked.length));
                }
                next::register(mr, asked, done)
            }
        }
    }

    impl Hooks for CreationWritesTheDomainsBlock {
        unsafe fn create_mr(
            &self,
            pd: *mut NDK_PD,
            fast: BOOLEAN,
            done: Create,
            out: *mut *mut NDK_MR,
        ) -> NTSTATUS {
            unsafe {
                let status = next::create_mr(pd, fast, done, out);
                if status == STATUS_SUCCESS {
                    addr_of_mut!((*pd).Header.NdkReserved.rf[1]).write((*out).cast());
                }
                status
            }
        }
    }

    impl Hooks for CreationWritesTheAdaptersBlock {
        unsafe fn create_pd(
            &self,
            adapter: *mut NDK_ADAPTER,
            done: Create,
            out: *mut *mut NDK_PD,
        ) -> NTSTATUS {
            unsafe {
                let status = next::create_pd(adapter, done, out);
                if status == STATUS_SUCCESS {
                    let count = addr_of_mut!((*adapter).Header.NdkReserved.rf[2]);
                    count.write(count.read().wrapping_byte_add(1));
                }
                status
            }
        }
    }

    impl Hooks for InitialiseWritesTheBlock {
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            unsafe {
                if known(mr).fast {
                    addr_of_mut!((*mr).Header.NdkReserved.rf[0])
                        .write(without_provenance_mut(asked.count as usize));
                }
                next::initialise(mr, asked, done)
            }
        }
    }

    impl Hooks for MappingWritesTheAdaptersBlock {
        unsafe fn build_mapping(
            &self,
            adapter: *mut NDK_ADAPTER,
            memory: (*mut MDL, SIZE_T),
            done: Request,
            lam: *mut NDK_LOGICAL_ADDRESS_MAPPING,
            numbers: (*mut ULONG, *mut ULONG),
        ) -> NTSTATUS {
            unsafe {
                let status = next::build_mapping(adapter, memory, done, lam, numbers);
                if status == STATUS_SUCCESS {
                    addr_of_mut!((*adapter).Header.NdkReserved.rf[3]).write(lam.cast());
                }
                status
            }
        }
    }

    impl Hooks for FailedRegisterWritesTheBlock {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            unsafe {
                let status = next::register(mr, asked, done);
                if status == STATUS_INSUFFICIENT_RESOURCES {
                    addr_of_mut!((*mr).Header.NdkReserved.rf[0]).write(null_mut());
                }
                status
            }
        }
    }

    impl Hooks for RegisterReadsDispatch {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            unsafe {
                let own: *const NDK_MR_DISPATCH = table();
                if !mr.is_null() && addr_of!((*mr).Dispatch).read() != own {
                    return STATUS_INVALID_PARAMETER;
                }
                next::register(mr, asked, done)
            }
        }
    }

    impl Hooks for FastRegionHasEveryExtension {
        unsafe fn query_mr(&self, mr: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
            unsafe {
                let status = next::query_mr(mr, asked);
                if status == STATUS_NOT_SUPPORTED && known(mr).fast {
                    (*asked.out).Dispatch = dangling();
                    return STATUS_SUCCESS;
                }
                status
            }
        }
    }

    impl Hooks for UnknownExtensionIsStored {
        unsafe fn query_mr(&self, mr: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
            unsafe {
                let status = next::query_mr(mr, asked);
                if status == STATUS_NOT_SUPPORTED {
                    (*asked.out).Dispatch = null();
                }
                status
            }
        }
    }

    impl Hooks for QuestionTakesTheToken {
        unsafe fn query_mr(&self, mr: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
            self.0.set(mr, true);
            unsafe { next::query_mr(mr, asked) }
        }
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            self.0.set(mr, false);
            unsafe { next::register(mr, asked, done) }
        }
        unsafe fn local_token(&self, mr: *mut NDK_MR) -> UINT32 {
            if self.0.get(mr) { 0 } else { unsafe { next::local_token(mr) } }
        }
    }

    impl Hooks for QuestionWaitsForRequests {
        unsafe fn query_mr(&self, mr: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
            let status = unsafe { next::query_mr(mr, asked) };
            let busy = self.0.get(mr) && status == STATUS_NOT_SUPPORTED;
            if busy { STATUS_DEVICE_BUSY } else { status }
        }
        unsafe fn initialise(&self, mr: *mut NDK_MR, asked: Pages, done: Request) -> NTSTATUS {
            self.0.set(mr, true);
            let pending = self.0.clone();
            unsafe {
                let status = done.instead(
                    move |done, status| {
                        pending.set(mr, false);
                        done.call(status);
                    },
                    |done| next::initialise(mr, asked, done),
                );
                if status != STATUS_PENDING {
                    self.0.set(mr, false);
                }
                status
            }
        }
    }

    impl Hooks for NullRegionIsAState {
        unsafe fn deregister(&self, mr: *mut NDK_MR, done: Request) -> NTSTATUS {
            if mr.is_null() {
                return STATUS_INVALID_DEVICE_STATE;
            }
            unsafe { next::deregister(mr, done) }
        }
    }

    impl Hooks for DomainIsTakenForARegion {
        unsafe fn query_mr(&self, mr: *mut NDK_OBJECT_HEADER, asked: Question) -> NTSTATUS {
            unsafe {
                if !mr.is_null() && addr_of!((*mr).ObjectType).read() == NdkObjectTypePd {
                    return STATUS_NOT_SUPPORTED;
                }
                next::query_mr(mr, asked)
            }
        }
    }

    impl Hooks for NullRegionHasAToken {
        unsafe fn remote_token(&self, mr: *mut NDK_MR) -> UINT32 {
            if mr.is_null() { UINT32::MAX } else { unsafe { next::remote_token(mr) } }
        }
    }

    impl Hooks for NullCompletionIsTaken {
        unsafe fn register(&self, mr: *mut NDK_MR, asked: Registration, done: Request) -> NTSTATUS {
            let routine = done.routine.or(Some(nobody));
            unsafe { next::register(mr, asked, Request { routine, ..done }) }
        }
    }

    impl Hooks for NullCloseCompletionIsAState {
        unsafe fn close_mr(&self, mr: *mut NDK_OBJECT_HEADER, done: Close) -> NTSTATUS {
            if done.routine.is_none() {
                return STATUS_INVALID_DEVICE_STATE;
            }
            unsafe { next::close_mr(mr, done) }
        }
    }
}
