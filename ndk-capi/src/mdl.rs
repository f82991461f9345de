//! MDLs over a C program's memory.

use crate::boundary::{guard, invalid, out};
use ndk_core::Result;
use ndk_core::abi::{MDL, NTSTATUS};
use ndk_core::mdl::Mdl;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::slice;

/// A part of a chain.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ndkmr_part {
    /// Where it starts.
    pub memory: *mut c_void,
    /// How many bytes it has.
    pub length: usize,
}

/// The chains given out, by the address of their head.
static CHAINS: Mutex<BTreeMap<usize, Mdl>> = Mutex::new(BTreeMap::new());

/// Makes an MDL over memory of the caller's.
///
/// # Safety
/// The memory is valid for reads and writes while a registration over the MDL exists or is pending, and a C program
/// keeps its own accesses to it apart from a peer's by completions. `mdl` is null or can be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_mdl_create(
    memory: *mut c_void,
    length: usize,
    mdl: *mut *mut MDL,
) -> NTSTATUS {
    let part = ndkmr_part { memory, length };
    // SAFETY: the caller's promises.
    guard("ndkmr_mdl_create", || unsafe { give(build(&[part], 0)?, mdl) })
}

/// Makes a chain of MDLs, one for each part, that follow each other in virtual addresses.
///
/// # Safety
/// As for [`ndkmr_mdl_create`], for each part; `parts` is null or can be read up to `count` of them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_mdl_create_chain(
    parts: *const ndkmr_part,
    count: usize,
    virtual_address: *mut c_void,
    mdl: *mut *mut MDL,
) -> NTSTATUS {
    guard("ndkmr_mdl_create_chain", || {
        if parts.is_null() || count == 0 {
            return Err(invalid("there are no parts"));
        }
        if count > isize::MAX as usize / size_of::<ndkmr_part>() {
            return Err(invalid("the parts are more than the address space holds"));
        }
        // SAFETY: not null, and the caller's promises.
        unsafe { give(build(slice::from_raw_parts(parts, count), virtual_address.addr())?, mdl) }
    })
}

/// Frees what one of the functions above made.
///
/// # Safety
/// No request with the MDL is pending, and nothing uses it any more once this gives a success.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ndkmr_mdl_free(mdl: *mut MDL) -> NTSTATUS {
    guard("ndkmr_mdl_free", || {
        let chain = CHAINS.lock().remove(&mdl.addr());
        match chain {
            Some(_chain) => Ok(()),
            None if mdl.is_null() => Err(invalid("the MDL is null")),
            None => Err(invalid("this is no MDL that this library gave and that is not freed yet")),
        }
    })
}

/// # Safety
/// As for [`ndkmr_mdl_create`], for each part.
unsafe fn build(parts: &[ndkmr_part], virtual_address: usize) -> Result<Mdl> {
    let mut builder = Mdl::builder();
    if virtual_address != 0 {
        builder = builder.address(virtual_address);
    }
    let mut start = 0_usize;
    for (index, part) in parts.iter().enumerate() {
        if part.memory.is_null() {
            return Err(invalid("the memory is null"));
        }
        if index > 0 {
            builder = builder.split_at(start);
        }
        start = start
            .checked_add(part.length)
            .ok_or_else(|| invalid("the parts are longer than the address space").rule("C7"))?;
        // SAFETY: the caller's promise.
        builder = unsafe { builder.memory(part.memory.cast(), part.length) };
    }
    builder.build()
}

/// Keeps the chain, and gives its head to the caller.
///
/// # Safety
/// `mdl` is null or can be written.
unsafe fn give(chain: Mdl, mdl: *mut *mut MDL) -> Result<()> {
    let mdl = out(mdl)?;
    let head = chain.as_ptr();
    CHAINS.lock().insert(head.addr(), chain);
    // SAFETY: not null, and the caller's promise.
    unsafe { mdl.write(head) };
    Ok(())
}
