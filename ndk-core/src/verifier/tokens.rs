//! The tokens of an adapter that are live, and those that were lately.
//!
//! A deregistration takes no lock: it leaves the tokens with the region's [`Holder`], as *ended*. The tables have them as
//! live until somebody wants to know of one of them, or the region is registered again, whose one lock is for both.

use super::holder::{Holder, Pair, each};
use super::live::Live;
use super::retired::{Retired, Retirees};
use crate::platform::Std;
use crate::sync::Mutex;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering, fence};
use slab::Slab;

/// Deregistrations on other threads that the provider may have counted, and this has not yet.
const UNDER_WAY: u64 = 1_024;

/// What is wrong with a new token.
#[derive(Debug)]
pub(super) enum Wrong {
    /// Another live region has it (E2).
    Shared(u32, u64),
    /// It was retired so many deregistrations ago (D4).
    TooSoon(u32, u64),
}

pub(super) struct Tokens {
    deregistrations: AtomicU64,
    tables: Mutex<Std, Tables>,
}

struct Tables {
    live: Live,
    retired: Retirees,
    holders: Slab<Arc<Holder>>,
}

impl Tokens {
    pub(super) fn new() -> Self {
        let (live, retired) = (Live::new(), Retirees::default());
        let tables = Mutex::new(Tables { live, retired, holders: Slab::new() });
        Self { deregistrations: AtomicU64::new(0), tables }
    }

    /// A region is there, without a token.
    pub(super) fn enter(&self) -> Arc<Holder> {
        let mut tables = self.tables.lock();
        let entry = tables.holders.vacant_entry();
        let holder = Arc::new(Holder::at(entry.key() as u32));
        entry.insert(holder.clone());
        holder
    }

    /// The region is gone. What it has still, nobody else may have.
    pub(super) fn leave(&self, holder: &Holder) {
        let mut tables = self.tables.lock();
        tables.settle(holder);
        if holder.tokens() == (0, 0) {
            tables.holders.remove(holder.place as usize);
        }
    }

    /// A region has these tokens from now on. `distance` is that of D4, where the provider promises one.
    #[inline]
    pub(super) fn adopt(
        &self,
        holder: &Holder,
        pair: Pair,
        distance: Option<u32>,
    ) -> Option<Wrong> {
        self.take(holder, pair, distance, |_| false)
    }

    /// As `adopt`, for a round of a region for fast registration: the tokens of its own earlier rounds may come back
    /// sooner (E4).
    pub(super) fn adopt_round(
        &self,
        holder: &Holder,
        pair: Pair,
        distance: Option<u32>,
    ) -> Option<Wrong> {
        self.take(holder, pair, distance, |before| before.region == holder.id() as u32)
    }

    #[inline]
    fn take(
        &self,
        holder: &Holder,
        pair: Pair,
        distance: Option<u32>,
        may_return: impl Fn(&Retired) -> bool,
    ) -> Option<Wrong> {
        holder.set(pair);
        let mut wrong = None;
        let mut tables = self.tables.lock();
        tables.settle(holder);
        each(pair, |token| {
            if let Some(place) = tables.live.insert(token, holder.place)
                && place != holder.place
                && let Some(other) = tables.still_has(place, token)
            {
                wrong = Some(Wrong::Shared(token, other));
            }
            if let Some(before) = tables.retired.remove(token)
                && !may_return(&before)
            {
                let now = self.deregistrations.load(Ordering::Relaxed);
                let since = now.saturating_sub(before.at);
                if distance.is_some_and(|distance| since + UNDER_WAY < distance.into()) {
                    wrong = wrong.take().or(Some(Wrong::TooSoon(token, since)));
                }
            }
        });
        wrong
    }

    /// The registration is about to end; gives its tokens. Before the provider hears of it, which may give them to another
    /// region as soon as it has them back.
    #[inline]
    pub(super) fn end(&self, holder: &Holder) -> Pair {
        let pair = holder.take();
        let at = self.deregistrations.fetch_add(1, Ordering::Relaxed) + 1;
        // Where an earlier try was given up, what it has ended may be there still.
        if pair != (0, 0) {
            holder.set_ended(pair, at);
        }
        // Whoever the provider gives a token to, however it does, sees that it has ended here: see `still_has`.
        fence(Ordering::Release);
        pair
    }

    /// It has not ended after all.
    #[cold]
    pub(super) fn resume(&self, holder: &Holder, pair: Pair) {
        let mut tables = self.tables.lock();
        holder.forget_ended();
        holder.set(pair);
        each(pair, |token| {
            tables.live.insert(token, holder.place);
            tables.retired.remove(token);
        });
    }

    /// The region is about to be closed, which ends its registration if it has one.
    pub(super) fn end_for_good(&self, holder: &Holder) {
        if holder.tokens() != (0, 0) {
            self.end(holder);
        }
        self.tables.lock().settle(holder);
    }

    /// A region's tokens, which this gives, are no longer its own, and may come back at any time.
    pub(super) fn release(&self, holder: &Holder) -> Pair {
        let pair = holder.take();
        let mut tables = self.tables.lock();
        tables.settle(holder);
        each(pair, |token| tables.live.remove(token, holder.place));
        pair
    }

    /// The tokens that the region had in an earlier round have ended, but for those that it has still.
    pub(super) fn retire(&self, holder: &Holder, before: Pair, still: Pair) {
        let ended = |token| if token == still.0 || token == still.1 { 0 } else { token };
        let ended = (ended(before.0), ended(before.1));
        if ended == (0, 0) {
            return;
        }
        let at = self.deregistrations.fetch_add(1, Ordering::Relaxed) + 1;
        let mut tables = self.tables.lock();
        each(ended, |token| tables.retire(holder, token, at));
    }

    /// A token that is something else's by now.
    pub(super) fn forget(&self, token: u32) {
        let mut tables = self.tables.lock();
        tables.is_live(token);
        tables.retired.remove(token);
    }

    /// The region whose earlier registration had the token, where no live one has it.
    pub(super) fn retired_of(&self, token: u32) -> Option<u64> {
        let mut tables = self.tables.lock();
        tables.is_live(token);
        tables.retired.get(token).map(|retired| retired.region.into())
    }

    pub(super) fn is_live(&self, token: u32) -> bool {
        self.tables.lock().is_live(token)
    }
}

impl Tables {
    /// What has ended becomes what is retired.
    #[inline]
    fn settle(&mut self, holder: &Holder) {
        let Some((pair, at)) = holder.ended() else { return };
        holder.forget_ended();
        each(pair, |token| self.retire(holder, token, at));
    }

    #[inline]
    fn retire(&mut self, holder: &Holder, token: u32, at: u64) {
        // Another's, where the provider has given it twice.
        self.live.remove(token, holder.place);
        self.retired.insert(Retired { token, region: holder.id() as u32, at });
    }

    /// The region at a place, of which a token has just been taken, if it is live there still.
    #[cold]
    #[inline(never)]
    fn still_has(&mut self, place: u32, token: u32) -> Option<u64> {
        // Pairs with that of `end`.
        fence(Ordering::Acquire);
        let holder = self.holders.get(place as usize)?.clone();
        let has_ended = holder.ended().is_some_and(|(pair, _)| token == pair.0 || token == pair.1);
        self.settle(&holder);
        (!has_ended).then(|| holder.id())
    }

    /// Whether a region has the token, whose tokens are settled if it had.
    fn is_live(&mut self, token: u32) -> bool {
        let Some(place) = self.live.get(token) else { return false };
        self.still_has(place, token).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(tokens: &Tokens, id: u64) -> Arc<Holder> {
        let holder = tokens.enter();
        holder.set_id(id);
        holder
    }

    /// Registers and deregisters.
    fn round(tokens: &Tokens, holder: &Holder, pair: Pair) {
        assert!(tokens.adopt(holder, pair, None).is_none());
        tokens.end(holder);
    }

    #[test]
    fn a_token_is_live_then_retired_then_forgotten() {
        let tokens = Tokens::new();
        let first = region(&tokens, 1);
        assert!(tokens.adopt(&first, (7, 7), Some(65_536)).is_none());
        assert!(tokens.is_live(7) && tokens.retired_of(7).is_none());
        assert_eq!(tokens.end(&first), (7, 7));
        assert!(!tokens.is_live(7));
        assert_eq!(tokens.retired_of(7), Some(1));
        tokens.forget(7);
        assert!(tokens.retired_of(7).is_none());
        // As many as are promised to be kept away, most of which are remembered, and the latest are.
        let second = region(&tokens, 2);
        for number in 10..65_546 {
            round(&tokens, &second, (number * 2, number * 2 + 1));
        }
        let known = (20..131_092).filter(|&token| tokens.retired_of(token).is_some()).count();
        assert!(known > 100_000, "{known}");
        assert_eq!(tokens.retired_of(131_091), Some(2));
    }

    #[test]
    fn what_has_ended_is_known_without_another_request_of_its_region() {
        let tokens = Tokens::new();
        let (first, second) = (region(&tokens, 1), region(&tokens, 2));
        round(&tokens, &first, (7, 8));
        tokens.forget(8);
        assert!(tokens.retired_of(8).is_none(), "something else has it");
        assert_eq!(tokens.retired_of(7), Some(1));
        // Also when the region is gone.
        round(&tokens, &second, (9, 10));
        tokens.leave(&second);
        assert_eq!(tokens.retired_of(10), Some(2));
        let third = region(&tokens, 3);
        assert_eq!(third.place, second.place);
        assert_eq!((tokens.retired_of(9), tokens.is_live(9)), (Some(2), false));
        // It is another's, and was the first one's too soon before.
        round(&tokens, &first, (5, 6));
        let wrong = tokens.adopt(&third, (6, 0), Some(65_536));
        assert!(matches!(wrong, Some(Wrong::TooSoon(6, 0))), "{wrong:?}");
        assert!(tokens.is_live(6) && tokens.retired_of(5) == Some(1));
    }

    #[test]
    fn what_did_not_end_after_all_is_live_whoever_has_looked_meanwhile() {
        for looks in [false, true] {
            let tokens = Tokens::new();
            let (first, second) = (region(&tokens, 1), region(&tokens, 2));
            assert!(tokens.adopt(&first, (7, 8), None).is_none());
            let pair = tokens.end(&first);
            assert!(!looks || tokens.retired_of(7) == Some(1));
            tokens.resume(&first, pair);
            assert!(tokens.is_live(7) && tokens.retired_of(8).is_none());
            let wrong = tokens.adopt(&second, (3, 7), Some(65_536));
            assert!(matches!(wrong, Some(Wrong::Shared(7, 1))), "{wrong:?}");
        }
    }

    #[test]
    fn a_token_that_passes_between_threads_is_one_region_s_at_a_time() {
        use core::sync::atomic::AtomicU32;
        let (tokens, free) = (Tokens::new(), AtomicU32::new(7));
        std::thread::scope(|scope| {
            for id in 1..=3 {
                let (tokens, free) = (&tokens, &free);
                scope.spawn(move || {
                    let holder = region(tokens, id);
                    let mut rounds = 0;
                    while rounds < 2_000 {
                        // As weak as a provider may be.
                        let token = free.swap(0, Ordering::Relaxed);
                        if token == 0 {
                            std::thread::yield_now();
                            continue;
                        }
                        let wrong = tokens.adopt(&holder, (token, 1_000 + id as u32), None);
                        assert!(wrong.is_none(), "{wrong:?}");
                        tokens.end(&holder);
                        free.store(token, Ordering::Relaxed);
                        rounds += 1;
                    }
                    tokens.leave(&holder);
                });
            }
        });
        assert_eq!(tokens.deregistrations.load(Ordering::Relaxed), 6_000);
        assert!(!tokens.is_live(7) && tokens.retired_of(7).is_some());
        assert!(tokens.tables.lock().live.get(1_003).is_none());
    }

    #[test]
    fn what_two_regions_share_is_wrong_and_what_one_has_twice_is_not() {
        let tokens = Tokens::new();
        let (first, second) = (region(&tokens, 1), region(&tokens, 2));
        assert!(tokens.adopt(&first, (7, 8), None).is_none());
        assert!(tokens.adopt(&first, (7, 9), None).is_none());
        let wrong = tokens.adopt(&second, (3, 7), None);
        assert!(matches!(wrong, Some(Wrong::Shared(7, 1))), "{wrong:?}");
        // Whoever is gone without having ended has it still.
        tokens.leave(&second);
        let wrong = tokens.adopt(&region(&tokens, 3), (3, 0), None);
        assert!(matches!(wrong, Some(Wrong::Shared(3, 2))), "{wrong:?}");
    }

    #[test]
    fn a_token_that_comes_back_too_soon_is_wrong_where_that_was_promised() {
        for (distance, is_wrong) in [(Some(65_536), true), (None, false), (Some(100), false)] {
            for settles in [false, true] {
                let tokens = Tokens::new();
                let (first, second) = (region(&tokens, 1), region(&tokens, 2));
                round(&tokens, &first, (7, 0));
                (0..50).for_each(|_| round(&tokens, &second, (0, 0)));
                assert!(!settles || !tokens.is_live(7));
                let wrong = tokens.adopt(&region(&tokens, 3), (7, 0), distance);
                assert_eq!(matches!(wrong, Some(Wrong::TooSoon(7, 50))), is_wrong, "{distance:?}");
            }
        }
        // Also by the same region.
        let tokens = Tokens::new();
        let only = region(&tokens, 1);
        round(&tokens, &only, (7, 8));
        let wrong = tokens.adopt(&only, (9, 8), Some(65_536));
        assert!(matches!(wrong, Some(Wrong::TooSoon(8, 0))), "{wrong:?}");
    }

    #[test]
    fn the_tokens_of_a_region_s_own_rounds_may_come_back_and_those_of_others_not() {
        for (is_own, is_wrong) in [(true, false), (false, true)] {
            let tokens = Tokens::new();
            let (first, second) = (region(&tokens, 1), region(&tokens, 2));
            tokens.retire(&first, (0, 7), (8, 8));
            let holder = if is_own { first } else { second };
            let wrong = tokens.adopt_round(&holder, (3, 7), Some(65_536));
            assert_eq!(matches!(wrong, Some(Wrong::TooSoon(7, 0))), is_wrong, "{is_own}");
            assert_eq!(tokens.release(&holder), (3, 7));
            assert!(!tokens.is_live(7) && tokens.retired_of(7).is_none());
        }
    }
}
