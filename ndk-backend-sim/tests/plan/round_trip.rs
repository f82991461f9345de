//! Whatever is a plan is printed and read again as the same; whatever is none is refused without a panic.

use ndk_backend_sim::plan::{
    Effect, Fault, Keys, Latency, Limits, Lose, Occurrence, Operation, Plan, Planner, Target,
    Tokens,
};
use ndk_core::ErrorKind;
use ndk_core::backend::{BackendName, Options};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use std::num::NonZeroU32;
use std::time::Duration;

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![Just(Target::All), select(Operation::ALL).prop_map(Target::One)]
}

fn latency() -> impl Strategy<Value = Latency> {
    let pair = any::<(Duration, Duration)>();
    prop_oneof![
        Just(Latency::Inline),
        any::<Duration>().prop_map(Latency::Fixed),
        pair.prop_map(|(a, b)| Latency::Uniform(a.min(b), a.max(b))),
        any::<(Duration, Option<Duration>)>()
            .prop_map(|(mean, cap)| Latency::Exponential { mean, cap }),
    ]
}

fn status() -> impl Strategy<Value = ErrorKind> {
    // A number of no kind, or the kind itself.
    let any_failure = (i32::MIN..0).prop_map(|status| ErrorKind::from_status(status).unwrap());
    prop_oneof![select(ErrorKind::ALL), any_failure]
}

fn effect(can_fail: bool) -> BoxedStrategy<Effect> {
    let late = any::<Duration>().prop_map(Effect::Late);
    if !can_fail {
        return late.boxed();
    }
    let pending = (status(), any::<Duration>());
    prop_oneof![
        late,
        status().prop_map(Effect::FailInline),
        pending.prop_map(|(status, late)| Effect::FailPending { status, late }),
        status().prop_map(|status| Effect::FailPending { status, late: Duration::ZERO }),
    ]
    .boxed()
}

fn fault() -> impl Strategy<Value = Fault> {
    let occurrence = prop_oneof![
        any::<NonZeroU32>().prop_map(Occurrence::Nth),
        any::<NonZeroU32>().prop_map(Occurrence::Every),
        (0.0..=1.0).prop_map(Occurrence::Share),
        select(&[0.0, 1.0, 0.5, f64::MIN_POSITIVE]).prop_map(Occurrence::Share),
    ];
    (target(), occurrence).prop_flat_map(|(operation, occurrence)| {
        let can_fail = match operation {
            Target::All => true,
            Target::One(operation) => operation.can_fail(),
        };
        effect(can_fail).prop_map(move |effect| Fault { operation, occurrence, effect })
    })
}

fn plan() -> impl Strategy<Value = Plan> {
    let limits = any::<(Option<u32>, Option<u32>, Option<u32>)>();
    let limits =
        limits.prop_map(|(regions, pinned_pages, tokens)| Limits { regions, pinned_pages, tokens });
    let lose = (option::of(any::<NonZeroU32>()), any::<Option<Duration>>());
    let lose = lose.prop_map(|(after, at)| Lose { after, at });
    let keys = option::of(prop_oneof![Just(Keys::One), Just(Keys::Two)]);
    let tokens = (keys, any::<Option<bool>>()).prop_map(|(keys, rotate)| Tokens { keys, rotate });
    (btree_map(target(), latency(), 0..5), vec(fault(), 0..5), limits, tokens, lose).prop_map(
        |(latency, faults, limits, tokens, lose)| Plan { latency, faults, limits, tokens, lose },
    )
}

proptest! {
    #[test]
    fn a_printed_plan_is_read_as_the_same(plan in plan()) {
        let text = plan.to_string();
        prop_assert_eq!(text.parse(), Ok(plan), "{}", text);
    }

    #[test]
    fn a_printed_part_is_read_as_the_same(fault in fault(), latency in latency(), target in target()) {
        prop_assert_eq!(fault.to_string().parse(), Ok(fault));
        prop_assert_eq!(latency.to_string().parse(), Ok(latency));
        prop_assert_eq!(target.to_string().parse(), Ok(target));
    }

    #[test]
    fn every_plan_can_be_followed(plan in plan(), seed: u64) {
        let planner = Planner::new(&plan, seed);
        for operation in Operation::ALL.iter().chain(Operation::ALL) {
            let decision = planner.decide(*operation);
            prop_assert_ne!(decision.delay, Some(Duration::ZERO));
            prop_assert!(decision.fault.is_none() || operation.can_fail());
        }
    }

    #[test]
    fn garbage_is_no_plan_and_no_panic(text in ".{0,200}") {
        let _ = text.parse::<Plan>();
        let _ = text.parse::<Fault>();
        let _ = text.parse::<Latency>();
    }

    #[test]
    fn what_looks_like_a_plan_is_no_panic_either(
        text in "(\\[(latency|limits|tokens|lose-adapter|\\[fault\\])\\]?\n\
                 |[a-z-]{1,9} = ('?[0-9a-z~.-]{0,9}'?|-?[0-9.]{1,12})\n){0,8}",
    ) {
        let _ = text.parse::<Plan>();
    }

    #[test]
    fn garbage_in_options_is_no_panic(
        key in "plan|latency|fault|lose-adapter|regions|tokens|keys|rotate",
        value in "((all|register|read)?:?(every-|late-|~)?[0-9.,:]{0,6}(us|ms|timeout)?:?){0,3}",
    ) {
        let name: BackendName = format!("sim?{key}={value}").parse().unwrap();
        let _ = Plan::take(&mut Options::of(&name));
    }
}
