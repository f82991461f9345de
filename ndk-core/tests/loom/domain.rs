//! The close of a domain, and of an adapter, against what lives in it.

use crate::bench::{Bench, Consumer, Event, Mr, nothing};
use crate::device::{Device, Pace};
use crate::executors::Threads;
use crate::{explore, explore_up_to};
use loom::thread;
use ndk_core::abi::STATUS_SUCCESS;
use ndk_core::{Progress, RegionKind};

/// H4: a thread closes the domain, another its last region. The region's close is inline and tells nobody; the
/// domain's is told once if it pends.
fn domain_against_last_region(device: Device) {
    let threads = Threads::that_run();
    let bench = Bench::new(device, threads.lent(), nothing);
    let mr = bench.region(RegionKind::Conventional);
    let region = {
        let consumer = bench.consumer.clone();
        thread::spawn(move || consumer.close(mr))
    };
    let domain = bench.consumer.close_domain(bench.pd);
    let region = region.join().unwrap();
    threads.join();
    let mut expected = Vec::new();
    expected.extend((region == Progress::Pending).then_some(Event::MrClosed));
    expected.extend((domain == Progress::Pending).then_some(Event::PdClosed));
    assert_eq!(bench.consumer.record(), expected);
    bench.end();
}

#[test]
fn a_domain_against_its_last_region() {
    explore(|| domain_against_last_region(Device::with(Pace::Inline)));
}

#[test]
fn a_domain_against_its_last_region_whose_close_pends() {
    explore(|| {
        let pend = Device::with(Pace::Inline);
        let device = Device { closes: Pace::Later, domain_closes: Pace::Later, ..pend };
        domain_against_last_region(device);
    });
}

/// H4: a region is being created while its domain closes; it is delivered or refused, and the domain waits for it.
#[test]
fn a_domain_against_a_creation() {
    fn close(consumer: &Consumer, mr: Mr) {
        assert_eq!(consumer.close(mr), Progress::Done);
    }
    explore(|| {
        let threads = Threads::that_run();
        let device = Device { creations: Pace::Later, ..Device::with(Pace::Inline) };
        let bench = Bench::new(device, threads.lent(), close);
        let (creation, region) = bench.consumer.create(bench.pd, RegionKind::Conventional);
        assert_eq!((creation, region.is_none()), (Ok(Progress::Pending), true));
        let domain = bench.consumer.close_domain(bench.pd);
        threads.join();
        let mut expected = vec![Event::Created(STATUS_SUCCESS)];
        expected.extend((domain == Progress::Pending).then_some(Event::PdClosed));
        assert_eq!(bench.consumer.record(), expected);
        bench.end();
    });
}

/// H5: the adapter's close waits for the domain that another thread closes, and frees what that thread has let go.
#[test]
fn an_adapter_against_its_last_domain() {
    explore(|| {
        let threads = Threads::that_run();
        let bench = Bench::new(Device::with(Pace::Inline), threads.lent(), nothing);
        let (pd, consumer) = (bench.pd, bench.consumer.clone());
        let domain = thread::spawn(move || consumer.close_domain(pd));
        bench.take().close().expect("no callback is open");
        assert_eq!(domain.join().unwrap(), Progress::Done);
        threads.join();
    });
}

/// H5: as above, with a request, its callback, and both closes still under way: all of it is over when the adapter's
/// close returns, whatever the executor's threads do then.
#[test]
fn an_adapter_against_everything() {
    fn close(consumer: &Consumer, mr: Mr) {
        assert_eq!(consumer.close(mr), Progress::Pending);
    }
    explore_up_to(3, || {
        let threads = Threads::that_run();
        let bench = Bench::new(Device::with(Pace::Later), threads.lent(), close);
        let mr = bench.region(RegionKind::Conventional);
        let consumer = bench.consumer.clone();
        assert_eq!(consumer.register(mr), Ok(Progress::Pending));
        let domain = consumer.close_domain(bench.pd);
        bench.take().close().expect("no callback is open");
        let mut expected = vec![Event::Request(STATUS_SUCCESS), Event::MrClosed];
        expected.extend((domain == Progress::Pending).then_some(Event::PdClosed));
        assert_eq!(consumer.record(), expected);
        threads.join();
    });
}
