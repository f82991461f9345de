//! Every rule of the contract, and what the kit does about it.

use super::case::{Case, Device, RouteKind, Ways};
use super::cases;
use crate::abi::NDK_ADAPTER_INFO;
use crate::capabilities::{BaseAddress, Capabilities, Refusal, TokenReuse};
use std::collections::BTreeSet;

/// How far cases go into a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All that can be seen from outside.
    Cases,
    /// A part; the text says what is left, and why.
    Partly(&'static str),
    /// Nothing, and the text says why.
    NotObservable(&'static str),
}

/// A rule of the contract.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The stable ID, as in `C6`.
    pub id: &'static str,
    /// What it is about.
    pub subject: &'static str,
    /// How far the cases go.
    pub coverage: Coverage,
    /// The names of its cases.
    pub cases: Vec<&'static str>,
    /// The routes that they take; a rule about the table has no native one.
    pub routes: Vec<&'static str>,
    /// The ways of completing that they try; empty where each case has its own.
    pub ways: Vec<&'static str>,
    /// Why no case tries each way of completing on each route, where none does.
    pub few_ways: Option<&'static str>,
    /// The cases that cannot be tried on a table alone, whatever hooks it has, each with the reason.
    pub not_on_tables: Vec<(&'static str, &'static str)>,
}

use Coverage::{Cases, Partly};

const RULES: &[(&str, &str, Coverage)] = &[
    ("A1", "where a created object is delivered", Cases),
    ("A2", "the header and the table of a fresh object", Cases),
    ("A3", "the reserved block belongs to the consumer", Cases),
    ("A4", "a replaced Dispatch member", Cases),
    ("A5", "unknown extensions", Partly("a newer version than served needs an extension that is")),
    ("A6", "null and wrong-typed objects", Cases),
    ("A7", "null completion routines", Cases),
    ("A8", "the versions that open", Cases),
    ("B1", "no callback after an inline status", Cases),
    ("B2", "one callback after PENDING, with its context", Cases),
    ("B3", "a callback before the entry has returned", Cases),
    (
        "B4",
        "closing and registering inside a callback",
        Partly("what the provider touches after the callback has started is seen by sanitizers"),
    ),
    ("B5", "no entry blocks", Cases),
    ("B6", "short resources, and the retry", Cases),
    (
        "B7",
        "a failed request leaves everything as it was",
        Partly("counters are the backend's to show"),
    ),
    (
        "B8",
        "a provider that panics",
        Partly("a panic of the consumer's callback ends the program, so no case can do it"),
    ),
    ("B9", "PENDING under misbehaving executors", Cases),
    ("C1", "legal and illegal flags", Cases),
    ("C2", "the virtual address is an index only", Cases),
    ("C3", "chains and their joints", Cases),
    ("C4", "holes and wrong order", Cases),
    ("C5", "a length beyond the chain", Cases),
    ("C6", "a length of zero; where addresses count from", Cases),
    ("C7", "addresses that wrap", Cases),
    ("C8", "the largest registration", Cases),
    ("C9", "byte-exact access", Cases),
    ("C10", "RDMA_READ_SINK", Cases),
    ("C11", "Register on a fast-register region", Cases),
    ("C12", "Register on a registered region", Cases),
    ("C13", "one buffer in several regions", Cases),
    ("C14", "the region limit", Cases),
    ("C15", "locked chains, not used afterwards", Cases),
    ("D1", "when Deregister is legal", Cases),
    ("D2", "Deregister with a bound window", Cases),
    ("D3", "nothing moves after Deregister", Cases),
    ("D4", "registering again; how soon a token comes back", Cases),
    ("D5", "registering changes no byte", Cases),
    ("E1", "when tokens can be read", Cases),
    ("E2", "no two regions share a token", Cases),
    ("E3", "without remote rights no token reaches a region", Cases),
    ("E4", "tokens of a fast-register region", Cases),
    (
        "E5",
        "tokens cannot be guessed",
        Partly("predictors that fail and balanced bits are no proof, and no sample is one"),
    ),
    ("E6", "the privileged token grants nothing remotely", Cases),
    ("F1", "bounds", Cases),
    ("F2", "accesses that wrap", Cases),
    ("F3", "accesses of zero length", Cases),
    ("F4", "all rights needed, not any", Cases),
    ("F5", "tokens of another domain", Cases),
    ("F6", "what a refusal does to the queue pairs", Cases),
    ("G1", "initialising a conventional region", Cases),
    ("G2", "page counts of an initialisation", Cases),
    ("G3", "many initialisations", Cases),
    ("G4", "arguments of a fast registration", Cases),
    ("G5", "remote flags without remote access", Cases),
    ("G6", "a queue pair that is not connected", Cases),
    ("G7", "fast-registering a valid region", Cases),
    ("G8", "invalidation", Cases),
    ("G9", "send-and-invalidate", Cases),
    ("G10", "a flushed fast registration", Cases),
    ("G11", "the queue pairs on which a token works", Cases),
    ("H1", "Close succeeds", Cases),
    ("H2", "Close while requests are pending", Cases),
    ("H3", "Close of a registered region", Cases),
    ("H4", "a domain closes after its regions", Cases),
    ("H5", "the adapter closes last", Partly("what waits for ever is no test")),
    ("H6", "consumers that never wait", Cases),
    ("H7", "entries while Close pends", Cases),
    ("H8", "a lost device", Cases),
    ("K1", "declarations", Partly("each is tried by the cases that need it")),
    (
        "K2",
        "NOT_SUPPORTED before anything is registered",
        Partly("the inverse of C2, C3 and G4 tries more"),
    ),
    ("L1", "logical addresses", Cases),
    ("L2", "pages outside every mapping", Cases),
    ("L3", "page-granular access", Cases),
    ("L4", "building and releasing mappings", Cases),
    ("L5", "the privileged token of a domain", Cases),
    ("L6", "BuildLAM completes inline", Cases),
];

/// Rules that leave no choice of how a request completes, and why.
const FEW_WAYS: &[(&str, &str)] = &[
    ("A6", "what is refused is refused inline"),
    ("A8", "opening has one way"),
    ("B2", "what completes inline has no callback"),
    ("B3", "it is about one way, by an executor that runs tasks here or on another thread"),
    ("B4", "what completes inline has no callback"),
    ("B5", "an operation that waits for a gate pends"),
    ("B9", "each case goes through all that an executor may do"),
    ("E5", "how a token is drawn does not depend on it"),
    ("K1", "a declaration does not complete"),
    ("L6", "it is about one way"),
];

/// Every rule, in the contract's order.
pub fn rules() -> Vec<Rule> {
    RULES.iter().map(|&(id, subject, coverage)| rule(id, subject, coverage)).collect()
}

fn rule(id: &'static str, subject: &'static str, coverage: Coverage) -> Rule {
    let cases: Vec<&Case> = cases::all().filter(|case| case.id == id).collect();
    let routes = RouteKind::ALL.into_iter();
    let routes = routes.filter(|&route| cases.iter().any(|case| case.routes.has(route)));
    let own = |case: &&&Case| case.ways == Ways::Own;
    // Whatever a case tries on one route it tries on the table's.
    let ways = cases.iter().filter(|case| !own(case));
    let ways: BTreeSet<_> = ways.flat_map(|case| case.ways.list(RouteKind::Table)).collect();
    let bare = bare();
    let on_tables = |case: &&Case| Some((case.name, case.needs.and_then(|needs| needs(&bare))?));
    let not_on_tables = cases.iter().filter_map(on_tables).collect();
    Rule {
        id,
        subject,
        not_on_tables,
        few_ways: FEW_WAYS.iter().find(|few| few.0 == id).map(|few| few.1),
        coverage,
        routes: routes.map(RouteKind::name).collect(),
        ways: ways.into_iter().map(|way| way.name()).collect(),
        cases: cases.into_iter().map(|case| case.name).collect(),
    }
}

/// A device that has all that tables alone can show.
fn bare() -> Device {
    Device {
        info: NDK_ADAPTER_INFO::default(),
        capabilities: Capabilities {
            base_address: BaseAddress::Any,
            // Something that it cannot express (K2).
            scattered_pages: false,
            byte_exact: true,
            remote_read_enforced: true,
            read_sink_grants_write: false,
            refusal: Refusal::Completion,
            partial_writes: false,
            token_reuse: TokenReuse::After(u32::MAX),
            tokens_unpredictable: true,
            shared_key: false,
            fast_registration: None,
            windows: true,
        },
        fast_registration: true,
        mappings: true,
        inline: true,
        mappings_pend: false,
        queue_pairs: true,
        fast_requests: true,
        binds: true,
        peer: false,
        privileged_token: true,
        table_alone: true,
        paces: true,
        small: Some(1),
        tight: None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::case::Way;
    use super::*;

    #[test]
    fn every_case_is_of_a_rule_and_has_a_name_of_its_own() {
        let mut names = BTreeSet::new();
        for case in cases::all() {
            assert!(RULES.iter().any(|rule| rule.0 == case.id), "{} is no rule", case.id);
            assert!(names.insert((case.id, case.name)), "{}::{} twice", case.id, case.name);
        }
    }

    #[test]
    fn every_rule_has_cases_or_a_reason() {
        for rule in rules() {
            let wants_cases = matches!(rule.coverage, Cases | Partly(_));
            assert_eq!(!rule.cases.is_empty(), wants_cases, "{}", rule.id);
        }
    }

    #[test]
    fn every_rule_has_every_way_on_every_route_or_a_reason() {
        for rule in rules() {
            let cases: Vec<_> = cases::all().filter(|case| case.id == rule.id).collect();
            let routes = RouteKind::ALL.into_iter();
            let has_all = |route| {
                let cases = cases.iter().filter(|case| case.ways != Ways::Own);
                let cases = cases.filter(|case| case.routes.has(route));
                let ways: BTreeSet<_> = cases.flat_map(|case| case.ways.list(route)).collect();
                ways.len() == Way::ALL.len()
            };
            let is_on = |route: &RouteKind| cases.iter().any(|case| case.routes.has(*route));
            let all = routes.filter(is_on).all(has_all);
            assert_eq!(all, rule.few_ways.is_none(), "{}", rule.id);
        }
    }

    #[test]
    fn the_rules_are_those_of_the_contract() {
        let sections =
            [('A', 8), ('B', 9), ('C', 15), ('D', 5), ('E', 6), ('F', 6), ('G', 11), ('H', 8)];
        let sections = sections.into_iter().chain([('K', 2), ('L', 6)]);
        let ids = sections.flat_map(|(name, count)| (1..=count).map(move |n| format!("{name}{n}")));
        assert!(ids.eq(RULES.iter().map(|rule| rule.0.to_string())));
    }
}
