//! The life of domains, regions and mappings through the safe consumer.
#![cfg(feature = "std")]

mod soft;

use futures_lite::future::block_on;
use ndk_core::abi::{GUID, NDK_VERSION, PAGE_SIZE};
use ndk_core::consumer::{Adapter, Failed, Region};
use ndk_core::mdl::{Buffer, Mdl};
use ndk_core::{Access, Error, ErrorKind};
use soft::everywhere;
use soft::provider::Op;

const ALL: Access = Access::REMOTE_WRITE;

fn mdl(length: usize) -> (Buffer, Mdl) {
    let buffer = Buffer::with_page_offset(length, 100).unwrap();
    let mdl = Mdl::new(&buffer).unwrap();
    (buffer, mdl)
}

fn region(adapter: &Adapter) -> Region {
    adapter.create_domain_blocking().unwrap().create_region_blocking().unwrap()
}

#[test]
fn e1_d4_a_region_lives_async() {
    everywhere(|adapter, world| {
        block_on(async {
            let domain = adapter.create_domain().await?;
            let region = domain.create_region().await?;
            let (buffer, chain) = mdl(2 * PAGE_SIZE);
            let region = region.register(chain, Access::REMOTE_READ | ALL).await?;
            assert_eq!(region.base_address() as usize, buffer.address());
            assert_eq!((region.len(), region.access()), (2 * PAGE_SIZE, Access::REMOTE_READ | ALL));
            let token = region.remote_token();
            assert!(region.local_token().is_some() && token.is_some());

            assert!(world.peer_write(token, region.base_address() + 5_000, b"peer"));
            let mut seen = [0; 6];
            region.memory().read(4_999, &mut seen)?;
            assert_eq!(&seen, b"\0peer\0");
            region.memory().write(1, b"owner")?;
            let read = world.peer_read(token, region.base_address(), 7);
            assert_eq!(read.unwrap(), b"\0owner\0");

            let (region, chain) = region.deregister().await?;
            assert!(!world.peer_write(token, buffer.address() as u64, b"late"));
            let region = region.register(chain, Access::LOCAL_WRITE).await?;
            assert_eq!(region.remote_token(), None);
            assert_ne!(region.local_token().map(|t| t.get()), token.map(|t| t.get()));
            let chain = region.close().await?;
            assert_eq!(chain.len(), buffer.len());
            assert_eq!((world.registered(), world.live("mr")), (0, 0));
            domain.close().await
        })
        .unwrap();
        adapter.close().unwrap();
        assert!(world.is_shut_down());
    });
}

#[test]
fn a_region_lives_blocking() {
    everywhere(|adapter, world| {
        let domain = adapter.create_domain_blocking().unwrap();
        let region = domain.create_region_blocking().unwrap();
        let (_buffer, chain) = mdl(10);
        let region = region.register_blocking(chain, ALL).unwrap();
        assert!(world.peer_write(region.remote_token(), region.base_address(), b"0123456789"));
        let (region, chain) = region.deregister_blocking().unwrap();
        let region = region.register_part_blocking(chain, 3, ALL).unwrap();
        assert_eq!(region.len(), 3);
        assert!(!world.peer_write(region.remote_token(), region.base_address(), b"abcd"));
        assert!(world.peer_write(region.remote_token(), region.base_address(), b"abc"));
        let chain = region.close_blocking().unwrap();
        let mut bytes = [0; 10];
        chain.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"abc3456789");
        domain.create_region_blocking().unwrap().close_blocking().unwrap();
        domain.close_blocking().unwrap();
        adapter.close().unwrap();
    });
}

#[test]
fn b6_b7_a_failed_registration_gives_region_and_memory_back() {
    everywhere(|adapter, world| {
        let region = region(&adapter);
        let (_buffer, chain) = mdl(PAGE_SIZE);
        world.fail_next(Op::Register, ErrorKind::InsufficientResources);
        let failed = region.register_blocking(chain, ALL).unwrap_err();
        let Failed { object: (region, chain), error } = failed;
        assert_eq!(error.kind(), ErrorKind::InsufficientResources);
        let text = error.to_string();
        assert!(
            text.starts_with("STATUS_INSUFFICIENT_RESOURCES (0xc000009a): NdkRegisterMr: a limit")
        );
        let region = region.register_blocking(chain, ALL).unwrap();
        assert!(region.remote_token().is_some());
        region.close_blocking().unwrap();
        adapter.close().unwrap();
    });
}

#[test]
fn c5_c6_c8_lengths_are_checked() {
    everywhere(|adapter, _world| {
        let mut region = region(&adapter);
        let (_buffer, mut chain) = mdl(100);
        for (length, rule) in [(0, "C6"), (101, "C5"), (usize::MAX, "C7")] {
            let Failed { object, error } =
                region.register_part_blocking(chain, length, ALL).unwrap_err();
            assert_eq!((error.kind(), error.rule_id()), (ErrorKind::InvalidParameter, rule));
            (region, chain) = object;
        }
        // MaxRegistrationSize is below that; nothing reads the memory.
        let large = Buffer::new((1 << 24) + 1).unwrap();
        let large = Mdl::new(&large).unwrap();
        let Failed { object: (region, _), error } =
            region.register_blocking(large, ALL).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter);
        region.close_blocking().unwrap();
        adapter.close().unwrap();
    });
}

#[test]
fn c2_c3_scattered_pages_at_an_arbitrary_address_register() {
    everywhere(|adapter, world| {
        let buffer = Buffer::new(3 * PAGE_SIZE).unwrap();
        let page = |index| index * PAGE_SIZE..(index + 1) * PAGE_SIZE;
        let chain = Mdl::builder()
            .range(&buffer, page(2))
            .range(&buffer, page(0))
            .address(0x7000_0000)
            .split_at(1)
            .split_at(5_000)
            .build()
            .unwrap();
        let region = region(&adapter).register_blocking(chain, ALL).unwrap();
        assert_eq!(region.base_address(), 0x7000_0000);
        assert!(world.peer_write(region.remote_token(), 0x7000_0FFE, b"joint"));
        assert_eq!(&buffer.to_vec()[3 * PAGE_SIZE - 2..], b"jo");
        assert_eq!(&buffer.to_vec()[..3], b"int");
        drop(region);
        adapter.close().unwrap();
    });
}

#[test]
fn d2_a_failed_deregistration_gives_the_registered_region_back() {
    everywhere(|adapter, world| {
        let (_buffer, chain) = mdl(100);
        let region = region(&adapter).register_blocking(chain, ALL).unwrap();
        let token = region.remote_token();
        world.fail_next(Op::Deregister, ErrorKind::DeviceBusy);
        let Failed { object: region, error } = region.deregister_blocking().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeviceBusy);
        assert!(error.detail().contains("memory window"));
        assert_eq!((region.remote_token(), region.len()), (token, 100));
        assert!(world.peer_write(token, region.base_address(), b"still"));
        let (region, _chain) = region.deregister_blocking().unwrap();
        region.close_blocking().unwrap();
        adapter.close().unwrap();
    });
}

#[test]
fn g2_g3_a_fast_region_is_initialised_again_and_again() {
    everywhere(|adapter, world| {
        let domain = adapter.create_domain_blocking().unwrap();
        let region = domain.create_fast_region_blocking().unwrap();
        let Failed { object: region, error } = region.initialize_blocking(0, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidParameter);
        let Failed { object: region, error } = region.initialize_blocking(17, true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ImplementationLimit);
        let region = region.initialize_blocking(16, true).unwrap();
        assert_eq!((region.pages(), region.is_remote()), (16, true));
        let token = region.remote_token().unwrap();
        world.fail_next(Op::Initialize, ErrorKind::InsufficientResources);
        let Failed { object: region, error } = region.initialize_blocking(4, false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InsufficientResources);
        assert_eq!((region.pages(), region.remote_token()), (16, Some(token)));
        let region = region.initialize_blocking(4, false).unwrap();
        assert_eq!((region.pages(), region.remote_token()), (4, None));
        assert!(region.local_token().is_some());
        region.close_blocking().unwrap();
        domain.close_blocking().unwrap();
        adapter.close().unwrap();
    });
}

#[test]
fn c14_a_failed_creation_says_what_to_do() {
    everywhere(|adapter, world| {
        world.fail_next(Op::CreatePd, ErrorKind::InsufficientResources);
        let error = adapter.create_domain_blocking().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InsufficientResources);
        let domain = adapter.create_domain_blocking().unwrap();
        world.fail_next(Op::CreateMr, ErrorKind::InsufficientResources);
        let error = domain.create_region_blocking().unwrap_err();
        assert!(error.detail().contains("closing a region makes room"), "{error}");
        world.fail_next(Op::CreateMr, ErrorKind::NotSupported);
        let error = domain.create_fast_region_blocking().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        drop(domain);
        adapter.close().unwrap();
    });
}

#[test]
fn a5_e6_what_there_is_to_ask() {
    everywhere(|adapter, _world| {
        let info = adapter.info().unwrap();
        assert_eq!((info.FRMRPageCount, info.Version.Major), (16, 1));
        assert!(adapter.capabilities().unwrap().scattered_pages);
        let (id, version) = (GUID::default(), NDK_VERSION { Major: 1, Minor: 0 });
        let unknown = |error: Error| assert_eq!(error.kind(), ErrorKind::NotSupported);
        unknown(adapter.query_extension(&id, version).unwrap_err());
        let domain = adapter.create_domain_blocking().unwrap();
        assert_eq!(domain.privileged_token().unwrap().get(), 0x77);
        let region = domain.create_region_blocking().unwrap();
        unknown(region.query_extension(&id, version).unwrap_err());
        drop((region, domain));
        adapter.close().unwrap();
    });
}

#[test]
fn l1_l4_mappings_are_built_and_released() {
    everywhere(|adapter, world| {
        let (buffer, chain) = mdl(PAGE_SIZE);
        let mapping = adapter.build_mapping_blocking(chain).unwrap();
        let first = buffer.address() as u64 & !0xFFF | 1 << 60;
        assert_eq!(mapping.pages(), [first, first + PAGE_SIZE as u64]);
        assert_eq!((mapping.first_byte(), world.live("mapping")), (100, 1));
        mapping.memory().write(0, b"x").unwrap();

        // A mapping keeps the adapter from its close.
        let Failed { object: adapter, error } = adapter.close().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeviceBusy);
        let chain = mapping.release();
        assert_eq!(world.live("mapping"), 0);

        world.fail_next(Op::Map, ErrorKind::InsufficientResources);
        let Failed { object: chain, error } = adapter.build_mapping_blocking(chain).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InsufficientResources);
        let empty = Mdl::builder().build().unwrap();
        let failed = adapter.build_mapping_blocking(empty).unwrap_err();
        assert_eq!(failed.error.rule_id(), "C6");
        drop(adapter.build_mapping_blocking(chain).unwrap());
        adapter.close().unwrap();
    });
}

#[test]
fn objects_and_futures_go_from_thread_to_thread() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    fn sync<T: Send + Sync>(value: T) -> T {
        value
    }
    everywhere(|adapter, _world| {
        let adapter = sync(adapter);
        let domain = sync(block_on(send(adapter.create_domain())).unwrap());
        let fast = block_on(send(domain.create_fast_region())).unwrap();
        let fast = sync(block_on(send(sync(fast).initialize(1, true))).unwrap());
        block_on(send(fast.close())).unwrap();
        let region = sync(block_on(send(domain.create_region())).unwrap());
        let (_buffer, chain) = sync(mdl(10));
        let region = sync(block_on(send(region.register(chain, ALL))).unwrap());
        let (region, chain) = block_on(send(region.deregister())).unwrap();
        block_on(send(region.close())).unwrap();
        drop(sync(block_on(send(adapter.build_mapping(chain))).unwrap()));
        block_on(send(domain.close())).unwrap();
        std::thread::spawn(move || adapter.close().unwrap()).join().unwrap();
    });
}

#[test]
fn c13_one_chain_serves_several_regions() {
    everywhere(|adapter, world| {
        let domain = adapter.create_domain_blocking().unwrap();
        let (buffer, chain) = mdl(100);
        let [read, write] = [Access::REMOTE_READ, ALL].map(|access| {
            let region = domain.create_region_blocking().unwrap();
            region.register_blocking(chain.clone(), access).unwrap()
        });
        drop((buffer, chain));
        assert!(world.peer_write(write.remote_token(), write.base_address(), b"both"));
        assert!(!world.peer_write(read.remote_token(), read.base_address(), b"one"));
        write.close_blocking().unwrap();
        // The first region's handle keeps chain and memory.
        assert_eq!(world.peer_read(read.remote_token(), read.base_address(), 4).unwrap(), b"both");
        read.close_blocking().unwrap();
        domain.close_blocking().unwrap();
        adapter.close().unwrap();
    });
}

#[test]
fn h5_a_close_that_does_not_wait_gives_the_adapter_back() {
    everywhere(|adapter, world| {
        let domain = adapter.create_domain_blocking().unwrap();
        let Failed { object: adapter, error } = adapter.try_close().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeviceBusy);
        let region = domain.create_region_blocking().unwrap();
        let Failed { object: mut adapter, error } = adapter.try_close().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DeviceBusy);
        assert!(error.to_string().contains("/mr"), "what is open is named: {error}");
        region.close_blocking().unwrap();
        domain.close_blocking().unwrap();
        // The thread that completed the last close may not have left the adapter yet.
        while let Err(Failed { object, error }) = adapter.try_close() {
            assert_eq!(error.kind(), ErrorKind::DeviceBusy);
            adapter = object;
            std::thread::yield_now();
        }
        assert!(world.is_shut_down());
    });
}
