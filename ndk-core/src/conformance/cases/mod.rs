//! The cases, a file for each section of the contract or a part of one.

mod a;
mod a_arguments;
mod a_block;
mod b;
mod b_executors;
mod b_panics;
mod b_waits;
mod c;
mod c_chain;
mod c_data;
mod c_pins;
mod d;
mod d_data;
mod e;
mod e_data;
mod e_predict;
mod f;
mod f_elements;
mod f_rights;
mod f_zero;
mod fast;
mod g;
mod g_arguments;
mod g_work;
mod h;
mod h_adapter;
mod h_data;
mod h_states;
mod k;
mod l;
mod l_data;
mod windows;
mod windows_elsewhere;

use super::case::Case;
use super::env::Env;
use super::memory::Memory;
use super::outcome::Outcome;
use super::route::Mapped;
use crate::abi::{NDK_LOGICAL_ADDRESS_MAPPING, STATUS_SUCCESS, ULONG};

/// Every case, in the contract's order.
pub(super) fn all() -> impl Iterator<Item = &'static Case> {
    [
        a::CASES,
        a_block::CASES,
        a_arguments::CASES,
        b::CASES,
        b_waits::CASES,
        b_panics::CASES,
        b_executors::CASES,
        c::CASES,
        c_chain::CASES,
        c_data::CASES,
        c_pins::CASES,
        d::CASES,
        d_data::CASES,
        e::CASES,
        e_data::CASES,
        e_predict::CASES,
        f::CASES,
        f_elements::CASES,
        f_zero::CASES,
        f_rights::CASES,
        g::CASES,
        g_arguments::CASES,
        g_work::CASES,
        h::CASES,
        h_adapter::CASES,
        h_states::CASES,
        h_data::CASES,
        k::CASES,
        l::CASES,
        l_data::CASES,
        windows::CASES,
        windows_elsewhere::CASES,
    ]
    .into_iter()
    .flatten()
}

/// What a small mapping comes to; it is released again.
pub(super) fn try_mapping(env: &mut Env, memory: &Memory) -> Outcome {
    let adapter = env.adapter();
    let mut buffer = [0_u64; 16];
    let (mut size, mut fbo) = (size_of_val(&buffer) as ULONG, 0);
    let lam: *mut NDK_LOGICAL_ADDRESS_MAPPING = buffer.as_mut_ptr().cast();
    let arguments = Mapped {
        chain: memory.handle(),
        length: memory.len(),
        lam,
        size: &raw mut size,
        fbo: &raw mut fbo,
    };
    // SAFETY: the adapter is open, and the buffers outlive the request, which is waited for.
    let issued = env.issue(|route, done| unsafe { route.build_mapping(adapter, arguments, done) });
    let outcome = env.finish(issued);
    if outcome.status() == STATUS_SUCCESS {
        // SAFETY: built above, and released once.
        unsafe { env.route.release_mapping(adapter, lam) };
    }
    outcome
}
