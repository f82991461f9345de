//! The tokens of an adapter that are live, and those that were lately.

use super::retired::{Retired, Retirees};
use super::spread::Table;
use crate::platform::Std;
use crate::sync::Mutex;

/// Deregistrations on other threads that the provider may have counted, and this has not yet.
const UNDER_WAY: u64 = 1_024;

#[derive(Default)]
struct State {
    live: Table<u32, u64>,
    retired: Retirees,
    deregistrations: u64,
}

/// A region's tokens; 0 for none.
pub(super) type Pair = (u32, u32);

fn each(pair: Pair) -> impl Iterator<Item = u32> {
    let second = if pair.0 == pair.1 { 0 } else { pair.1 };
    [pair.0, second].into_iter().filter(|&token| token != 0)
}

/// What is wrong with a new token.
pub(super) enum Wrong {
    /// Another live region has it (E2).
    Shared(u32, u64),
    /// It was retired so many deregistrations ago (D4).
    TooSoon(u32, u64),
}

pub(super) struct Tokens(Mutex<Std, State>);

impl Tokens {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::default()))
    }

    /// A region has these tokens from now on. `distance` is that of D4, where the provider promises one.
    pub(super) fn adopt(&self, region: u64, pair: Pair, distance: Option<u32>) -> Option<Wrong> {
        self.take(region, pair, distance, |_| false)
    }

    /// As `adopt`, for a round of a region for fast registration: the tokens of its own earlier rounds may come back
    /// sooner (E4).
    pub(super) fn adopt_round(
        &self,
        region: u64,
        pair: Pair,
        distance: Option<u32>,
    ) -> Option<Wrong> {
        self.take(region, pair, distance, |before| before.region == region as u32)
    }

    fn take(
        &self,
        region: u64,
        pair: Pair,
        distance: Option<u32>,
        may_return: impl Fn(&Retired) -> bool,
    ) -> Option<Wrong> {
        let mut wrong = None;
        let mut state = self.0.lock();
        for token in each(pair) {
            if let Some(other) = state.live.insert(token, region)
                && other != region
            {
                wrong = Some(Wrong::Shared(token, other));
            }
            if let Some(before) = state.retired.remove(token)
                && !may_return(&before)
            {
                let since = state.deregistrations - before.at;
                if distance.is_some_and(|distance| since + UNDER_WAY < distance.into()) {
                    wrong = wrong.or(Some(Wrong::TooSoon(token, since)));
                }
            }
        }
        wrong
    }

    /// A region's tokens are no longer its own, and may come back at any time.
    pub(super) fn release(&self, region: u64, pair: Pair) {
        let mut state = self.0.lock();
        each(pair).for_each(|token| state.release(region, token));
    }

    /// The registration with these tokens is about to end.
    pub(super) fn retire(&self, region: u64, pair: Pair) {
        let mut state = self.0.lock();
        state.deregistrations += 1;
        let at = state.deregistrations;
        for token in each(pair) {
            state.release(region, token);
            state.retired.insert(Retired { token, region: region as u32, at });
        }
    }

    /// A token that is something else's by now.
    pub(super) fn forget(&self, token: u32) {
        self.0.lock().retired.remove(token);
    }

    /// The region whose earlier registration had the token, where no live one has it.
    pub(super) fn retired_of(&self, token: u32) -> Option<u64> {
        self.0.lock().retired.get(token).map(|retired| retired.region.into())
    }

    pub(super) fn is_live(&self, token: u32) -> bool {
        self.0.lock().live.contains_key(&token)
    }
}

impl State {
    fn release(&mut self, region: u64, token: u32) {
        // Another's, where the provider has given it twice.
        if let Some(other) = self.live.remove(&token)
            && other != region
        {
            self.live.insert(token, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_live_then_retired_then_forgotten() {
        let tokens = Tokens::new();
        assert!(tokens.adopt(1, (7, 7), Some(65_536)).is_none());
        assert!(tokens.is_live(7) && tokens.retired_of(7).is_none());
        tokens.retire(1, (7, 7));
        assert!(!tokens.is_live(7));
        assert_eq!(tokens.retired_of(7), Some(1));
        tokens.forget(7);
        assert!(tokens.retired_of(7).is_none());
        // As many as are promised to be kept away, most of which are remembered, and the latest are.
        for region in 10..65_546 {
            tokens.retire(region, (region as u32 * 2, region as u32 * 2 + 1));
        }
        let known = (20..131_092).filter(|&token| tokens.retired_of(token).is_some()).count();
        assert!(known > 100_000, "{known}");
        assert_eq!(tokens.retired_of(131_091), Some(65_545));
    }

    #[test]
    fn what_two_regions_share_is_wrong_and_what_one_has_twice_is_not() {
        let tokens = Tokens::new();
        assert!(tokens.adopt(1, (7, 8), None).is_none());
        assert!(tokens.adopt(1, (7, 9), None).is_none());
        assert!(matches!(tokens.adopt(2, (3, 7), None), Some(Wrong::Shared(7, 1))));
    }

    #[test]
    fn a_token_that_comes_back_too_soon_is_wrong_where_that_was_promised() {
        for (distance, is_wrong) in [(Some(65_536), true), (None, false), (Some(100), false)] {
            let tokens = Tokens::new();
            tokens.retire(1, (7, 0));
            (0..50).for_each(|_| tokens.retire(2, (0, 0)));
            let wrong = tokens.adopt(3, (7, 0), distance);
            assert_eq!(matches!(wrong, Some(Wrong::TooSoon(7, 50))), is_wrong, "{distance:?}");
        }
    }

    #[test]
    fn the_tokens_of_a_region_s_own_rounds_may_come_back_and_those_of_others_not() {
        for (region, is_wrong) in [(1, false), (2, true)] {
            let tokens = Tokens::new();
            tokens.retire(1, (0, 7));
            let wrong = tokens.adopt_round(region, (3, 7), Some(65_536));
            assert_eq!(matches!(wrong, Some(Wrong::TooSoon(7, 0))), is_wrong, "{region}");
        }
    }
}
