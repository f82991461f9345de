//! Right programs, of which the verifier says nothing, whatever the backend does.

use crate::calls::*;
use ndk_core::abi::*;
use ndk_core::mdl::{Buffer, Mdl};
use std::ptr::addr_of;

const NAMES: [&str; 5] = [
    "verify+sim",
    "verify(policy=fail)+sim",
    "verify(policy=fail)+sim?latency=20us",
    "verify(policy=fail)+sim?keys=one",
    "verify(policy=fail)+sim?rotate=true&latency=5us",
];

#[test]
fn many_rounds_of_many_regions() {
    for name in NAMES {
        let program = open(name);
        let pd = program.domain();
        let regions: Vec<_> = (0..8).map(|_| region(pd, false)).collect();
        let buffer = Buffer::new(5 * PAGE_SIZE).unwrap();
        let chains = [
            Mdl::new(&buffer).unwrap(),
            Mdl::builder().buffer(&buffer).split_at(100).split_at(5000).build().unwrap(),
        ];
        for round in 0..50 {
            for (index, &mr) in regions.iter().enumerate() {
                let flags = [0, 1, 2, 5, 7, 0xF][(round + index) % 6];
                let ticket = Ticket::new();
                let status = register_with(mr, &chains[round % 2], flags, ticket);
                assert_eq!(ticket.wait(status), STATUS_SUCCESS);
                assert_ne!(local_token(mr), 0);
                assert_eq!(remote_token(mr) != 0, flags & 6 != 0);
            }
            regions.iter().for_each(|&mr| assert_eq!(deregister(mr), STATUS_SUCCESS));
        }
        let last: Vec<_> = regions.iter().map(|&mr| register(mr, &chains[0])).collect();
        assert!(last.iter().all(|&status| status == STATUS_SUCCESS));
        // Closed as they are, registered.
        regions.iter().for_each(|&mr| assert_eq!(close(mr), STATUS_SUCCESS));
        drop((chains, buffer));
        program.silent();
        program.end(pd);
    }
}

#[test]
fn regions_for_fast_registration_are_initialised_again_and_again() {
    for name in NAMES {
        let program = open(name);
        let pd = program.domain();
        let mr = region(pd, true);
        for pages in 1..10 {
            let ticket = Ticket::new();
            // SAFETY: the region is open.
            let status = unsafe {
                let initialise = entry!(mr, NdkInitializeFastRegisterMr);
                initialise(mr, pages, (pages % 2) as BOOLEAN, Some(request_done), ticket.context())
            };
            assert_eq!(ticket.wait(status), STATUS_SUCCESS);
        }
        assert_eq!(close(mr), STATUS_SUCCESS);
        program.silent();
        program.end(pd);
    }
}

#[test]
fn threads_that_each_have_a_region() {
    let program = open("verify(policy=fail)+sim?latency=10us");
    let pd = program.domain();
    let regions: Vec<_> = (0..4).map(|_| region(pd, false).expose_provenance()).collect();
    std::thread::scope(|scope| {
        for mr in regions {
            scope.spawn(move || {
                let (mr, mdl) = (std::ptr::with_exposed_provenance_mut(mr), memory(100));
                for _ in 0..200 {
                    assert_eq!(register(mr, &mdl), STATUS_SUCCESS);
                    assert_eq!(deregister(mr), STATUS_SUCCESS);
                }
                assert_eq!(close(mr), STATUS_SUCCESS);
            });
        }
    });
    program.silent();
    program.end(pd);
}
