//! What a kit would run on its device, without running it.

use super::case::{Case, Routes, Ways};
use super::cases;
use super::kit::Kit;
use super::run::probe;
use crate::error::Result;
use std::sync::Arc;

/// A case as a kit would run it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The ID of the rule.
    pub rule: &'static str,
    /// The case's name.
    pub case: &'static str,
    /// The routes that it takes, each with the ways of completing that it tries there; no way where it has its own.
    pub routes: Vec<(&'static str, Vec<&'static str>)>,
    /// Whether it is tried between two adapters besides.
    pub pair: bool,
    /// Why a safe consumer cannot ask for it, where the other routes can: the end of a sentence.
    pub ruled_out: Option<&'static str>,
    /// Why it is left out on this device; `None` where it runs.
    pub left_out: Option<&'static str>,
}

impl Planned {
    /// How many tests of the harness the case is.
    pub fn tests(&self) -> usize {
        let tests = self.routes.iter().map(|(_, ways)| ways.len().max(1));
        tests.sum::<usize>() + usize::from(self.pair)
    }
}

/// The routes of a case, and its ways on each.
fn routes(kit: &Kit, case: &Case) -> Vec<(&'static str, Vec<&'static str>)> {
    let routes = kit.opener.routes().iter().copied().filter(|&route| case.routes.has(route));
    let ways = |route| match case.ways {
        Ways::Own => Vec::new(),
        ways => ways.list(route).iter().map(|way| way.name()).collect(),
    };
    routes.map(|route| (route.name(), ways(route))).collect()
}

impl Kit {
    /// Opens the device once to find out what it has, and gives every case that the kit tries, in the contract's
    /// order. Runs none.
    ///
    /// # Errors
    /// The factory's, and those of a device on which nothing could be tested: also one that hangs, or breaks a rule.
    pub fn plan(self) -> Result<Vec<Planned>> {
        let kit = Arc::new(self);
        let device = probe(&kit)?;
        let defect = |case: &Case| kit.known_defect(case.id, case.name);
        let tried = cases::all().filter(|case| kit.tries(case.id));
        let planned = tried.map(|case| Planned {
            rule: case.id,
            case: case.name,
            routes: routes(&kit, case),
            pair: device.has_pair(case),
            ruled_out: match case.routes {
                Routes::Raw(reason) => Some(reason),
                Routes::All | Routes::Table => None,
            },
            left_out: case.needs.and_then(|needs| needs(&device)).or_else(|| defect(case)),
        });
        Ok(planned.collect())
    }
}
