//! What a planner decides.

use ndk_backend_sim::plan::{Decision, Operation, Plan, Planner};
use ndk_core::ErrorKind;
use std::time::Duration;

const NOTHING: Decision = Decision { delay: None, fault: None, lose_adapter: false };

fn planner(plan: &str) -> Planner {
    seeded(plan, 7)
}

fn seeded(plan: &str, seed: u64) -> Planner {
    Planner::new(&plan.parse::<Plan>().unwrap(), seed)
}

fn decide(planner: &Planner, operation: Operation, times: usize) -> Vec<Decision> {
    (0..times).map(|_| planner.decide(operation)).collect()
}

fn delays(planner: &Planner, operation: Operation, times: usize) -> Vec<Duration> {
    let all = decide(planner, operation, times);
    all.iter().map(|decision| decision.delay.unwrap_or_default()).collect()
}

fn us(us: u64) -> Duration {
    Duration::from_micros(us)
}

/// Which of the first `times` fail, counted from 1.
fn failures(planner: &Planner, operation: Operation, times: usize) -> Vec<usize> {
    let all = decide(planner, operation, times).into_iter().enumerate();
    all.filter(|(_, decision)| decision.fault.is_some()).map(|(index, _)| index + 1).collect()
}

#[test]
fn an_empty_plan_decides_nothing() {
    for text in ["", "latency.all = 'inline'", "limits.regions = 3", "lose-adapter.at = '1s'"] {
        let planner = planner(text);
        assert!(planner.is_empty(), "{text}");
        for operation in Operation::ALL {
            assert_eq!(planner.decide(*operation), NOTHING);
        }
    }
}

#[test]
fn what_is_not_for_the_planner_to_decide_can_be_asked() {
    let planner = planner("limits.regions = 3\nlose-adapter.at = '1s'");
    assert_eq!(planner.limits().regions, Some(3));
    assert_eq!(planner.lose_at(), Some(Duration::from_secs(1)));
}

#[test]
fn a_latency_is_of_its_operation_before_it_is_of_all() {
    let planner = planner("latency = { all = '1us', read = '2us', write = 'inline', send = '0s' }");
    assert_eq!(planner.decide(Operation::Register).delay, Some(us(1)));
    assert_eq!(planner.decide(Operation::Read).delay, Some(us(2)));
    assert_eq!(planner.decide(Operation::Write), NOTHING);
    assert_eq!(planner.decide(Operation::Send), NOTHING, "no time is no wait");
}

#[test]
fn a_uniform_latency_keeps_to_its_range_and_uses_it() {
    let planner =
        planner("latency = { read = '10us..20us', write = '3ns..5ns', bind = '7us..7us' }");
    let drawn = delays(&planner, Operation::Read, 10_000);
    assert!(drawn.iter().all(|delay| (us(10)..=us(20)).contains(delay)));
    let mean = drawn.iter().sum::<Duration>() / 10_000;
    assert!((us(14)..us(16)).contains(&mean), "{mean:?}");
    let drawn = delays(&planner, Operation::Write, 300);
    for nanos in [3, 4, 5] {
        let count = drawn.iter().filter(|delay| delay.as_nanos() == nanos).count();
        assert!((60..140).contains(&count), "{nanos} ns: {count}");
    }
    assert_eq!(delays(&planner, Operation::Bind, 2), [us(7), us(7)]);
}

#[test]
fn an_exponential_latency_has_its_mean_its_tail_and_its_cap() {
    let planner = planner("latency = { read = '~100us', write = '~100us..200us' }");
    let drawn = delays(&planner, Operation::Read, 20_000);
    let mean = drawn.iter().sum::<Duration>() / 20_000;
    assert!((us(96)..us(104)).contains(&mean), "{mean:?}");
    // The share beyond twice the mean is e^-2, 13.5 %.
    let beyond = |drawn: &[Duration]| drawn.iter().filter(|delay| **delay > us(200)).count();
    assert!((2_500..2_900).contains(&beyond(&drawn)), "{}", beyond(&drawn));
    let drawn = delays(&planner, Operation::Write, 20_000);
    assert_eq!(beyond(&drawn), 0);
    let capped = drawn.iter().filter(|delay| **delay == us(200)).count();
    assert!((2_500..2_900).contains(&capped), "{capped}");
}

#[test]
fn faults_befall_the_occurrences_they_name() {
    let text = |occurrence| {
        format!("fault = [{{ operation = 'register', {occurrence}, status = 'timeout' }}]")
    };
    let of = |occurrence| failures(&planner(&text(occurrence)), Operation::Register, 10);
    assert_eq!(of("nth = 3"), [3]);
    assert_eq!(of("every = 3"), [3, 6, 9]);
    assert_eq!(of("every = 1").len(), 10);
    assert_eq!(of("share = 0.0").len(), 0);
    assert_eq!(of("share = 1.0").len(), 10);
    let some = failures(&planner(&text("share = 0.05")), Operation::Register, 10_000).len();
    assert!((420..580).contains(&some), "{some}");
}

#[test]
fn operations_are_counted_one_by_one() {
    let planner = planner("fault = [{ operation = 'all', nth = 2, status = 'timeout' }]");
    assert_eq!(failures(&planner, Operation::Register, 3), [2]);
    assert_eq!(failures(&planner, Operation::Read, 3), [2]);
    assert_eq!(failures(&planner, Operation::CloseMr, 3), [0_usize; 0], "it cannot fail");
}

#[test]
fn a_failure_shows_where_the_plan_says() {
    let planner = planner(
        "latency.all = '10us'
         [[fault]]
         operation = 'read'
         nth = 1
         status = 'timeout'
         [[fault]]
         operation = 'read'
         nth = 2
         status = 'cancelled'
         when = 'pending'
         [[fault]]
         operation = 'read'
         nth = 3
         status = 'internal'
         complete-late = '5us'
         [[fault]]
         operation = 'read'
         nth = 4
         complete-late = '1us'",
    );
    let expected = [
        (None, Some(ErrorKind::Timeout)),
        (Some(us(10)), Some(ErrorKind::Cancelled)),
        (Some(us(15)), Some(ErrorKind::Internal)),
        (Some(us(11)), None),
        (Some(us(10)), None),
    ];
    let decisions = decide(&planner, Operation::Read, 5);
    for (decision, (delay, fault)) in decisions.into_iter().zip(expected) {
        assert_eq!(decision, Decision { delay, fault, lose_adapter: false });
    }
}

#[test]
fn a_pending_failure_pends_even_where_nothing_takes_time() {
    let planner =
        planner("fault = [{ operation = 'read', nth = 1, status = 'timeout', when = 'pending' }]");
    let decision = planner.decide(Operation::Read);
    assert!(decision.delay.is_some_and(|delay| !delay.is_zero()), "{decision:?}");
    assert_eq!(decision.fault, Some(ErrorKind::Timeout));
}

#[test]
fn of_faults_that_meet_the_first_decides_the_status_and_all_the_delay() {
    let planner = planner(
        "fault = [{ operation = 'read', nth = 1, complete-late = '1us' },
                  { operation = 'read', every = 1, status = 'cancelled', when = 'pending', complete-late = '2us' },
                  { operation = 'read', every = 1, status = 'timeout' }]",
    );
    let fault = Some(ErrorKind::Cancelled);
    let expected = [us(3), us(2)].map(|delay| (Some(delay), fault));
    let decisions = decide(&planner, Operation::Read, 2);
    assert_eq!(decisions.iter().map(|one| (one.delay, one.fault)).collect::<Vec<_>>(), expected);
}

#[test]
fn the_adapter_is_lost_once_with_operations_of_all_kinds_counted() {
    let planner = planner("lose-adapter.after = 3");
    assert!(!planner.is_empty());
    let lost: Vec<_> = [Operation::Register, Operation::Read, Operation::CloseMr, Operation::Read]
        .map(|operation| planner.decide(operation).lose_adapter)
        .into();
    assert_eq!(lost, [false, false, true, false]);
}

const RANDOM: &str = "latency.all = '1us..1ms'
    fault = [{ operation = 'all', share = 0.3, status = 'timeout', when = 'pending' }]";

#[test]
fn a_seed_fixes_the_sequence_and_another_seed_gives_another() {
    let sequence = |seed| decide(&seeded(RANDOM, seed), Operation::Register, 100);
    assert_eq!(sequence(1), sequence(1));
    assert_ne!(sequence(1), sequence(2));
    let planner = seeded(RANDOM, 1);
    let one = decide(&planner, Operation::Read, 100);
    assert_ne!(one, decide(&planner, Operation::Write, 100), "each has a stream of its own");
}

#[test]
fn what_happens_to_one_operation_does_not_shift_another() {
    let (alone, mixed) = (seeded(RANDOM, 1), seeded(RANDOM, 1));
    let alone = decide(&alone, Operation::Register, 100);
    let mixed: Vec<_> = (0..100)
        .map(|turn| {
            decide(&mixed, Operation::Read, turn % 3);
            mixed.decide(Operation::Register)
        })
        .collect();
    assert_eq!(alone, mixed);
}

#[test]
fn a_fault_more_does_not_shift_the_latencies() {
    let plain = "latency.read = '1us..1ms'";
    let faulty =
        format!("{plain}\nfault = [{{ operation = 'read', nth = 2, status = 'timeout' }}]");
    let (plain, faulty) = (planner(plain), planner(&faulty));
    let (plain, faulty) = (delays(&plain, Operation::Read, 9), delays(&faulty, Operation::Read, 9));
    assert_eq!((plain[0], &plain[2..]), (faulty[0], &faulty[2..]));
}

/// The sequence that this crate has always drawn for a seed: a bug found with one is found again after an update.
#[test]
fn the_sequence_of_a_seed_stays_the_same() {
    let nanos = |delay: Duration| delay.as_nanos() as u64;
    let drawn: Vec<_> = delays(&seeded("latency.read = '0ns..1s'", 42), Operation::Read, 4)
        .into_iter()
        .map(nanos)
        .collect();
    assert_eq!(drawn, [809_436_624, 303_623_693, 407_370_811, 701_621_799]);
}

#[test]
fn threads_share_out_one_sequence() {
    let planner = seeded(RANDOM, 3);
    let mut shared: Vec<Decision> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..4).map(|_| scope.spawn(|| decide(&planner, Operation::Send, 250))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut alone = decide(&seeded(RANDOM, 3), Operation::Send, 1000);
    shared.sort_by_key(|decision| decision.delay);
    alone.sort_by_key(|decision| decision.delay);
    assert_eq!(shared, alone);
}
