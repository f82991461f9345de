//! The local memory of a request.

use super::outside_mapping;
use crate::access::{Asker, Need, Span, Target, transfer};
use crate::counters::Miss;
use crate::mapping::Mapped;
use crate::queue_pair::Shared;
use ndk_core::{Result, Sge};
use std::borrow::Cow;
use std::sync::Arc;

/// Local memory of a request; its logical addresses were resolved when it was posted (L2), and keep their mappings.
#[derive(Clone, Debug)]
pub(super) struct Local<'a> {
    pub(super) elements: Cow<'a, [Sge]>,
    mapped: Vec<(usize, Arc<Mapped>, u64)>,
}

impl<'a> Local<'a> {
    pub(super) fn new(elements: &'a [Sge], shared: &Shared) -> Result<Self> {
        let mut mapped = Vec::new();
        for (index, element) in elements.iter().enumerate() {
            if element.token.get() == shared.privileged {
                let length = u64::from(element.length);
                let (mapping, offset) = shared
                    .device
                    .mappings
                    .find(element.address, length)
                    .ok_or_else(outside_mapping)?;
                mapped.push((index, mapping, offset));
            }
        }
        Ok(Self { elements: Cow::Borrowed(elements), mapped })
    }

    pub(super) fn into_owned(self) -> Local<'static> {
        Local { elements: Cow::Owned(self.elements.into_owned()), mapped: self.mapped }
    }

    pub(super) fn length(&self) -> usize {
        self.elements.iter().map(|element| element.length as usize).sum()
    }

    /// Checks every element before any byte is moved: what one refuses, another must not have changed. One alone is
    /// checked where it is used.
    pub(super) fn check(&self, asker: Asker<'_>, need: Need) -> Result<(), Miss> {
        if self.elements.len() < 2 {
            return Ok(());
        }
        (0..self.elements.len()).try_for_each(|index| {
            let opened = self.open(asker, need, index)?;
            self.close(asker, opened.1);
            Ok(())
        })
    }

    /// Lets the access to an element through; what is given with the span goes to `close`.
    pub(super) fn open(
        &self,
        asker: Asker<'_>,
        need: Need,
        index: usize,
    ) -> Result<(Span, bool), Miss> {
        let element = &self.elements[index];
        if let Some((_, mapping, offset)) = self.mapped.iter().find(|(at, ..)| *at == index) {
            let length = element.length as usize;
            // SAFETY: the mapping was checked to have the element's bytes, and is kept by the request.
            let span = unsafe { Span::new(&mapping.frames, *offset as usize, length) };
            return Ok((span, false));
        }
        let span = asker.begin(need, target(element)).map_err(|(miss, _)| miss)?;
        Ok((span, true))
    }

    pub(super) fn close(&self, asker: Asker<'_>, published: bool) {
        if published {
            asker.end();
        }
    }

    /// Moves bytes between this memory, from `start` on, and `other`.
    ///
    /// # Safety
    /// As for [`transfer`], of `other`.
    pub(super) unsafe fn exchange(
        &self,
        asker: Asker<'_>,
        need: Need,
        start: usize,
        other: Span,
    ) -> Result<(), Miss> {
        let (mut skip, mut done) = (start, 0);
        for index in 0..self.elements.len() {
            let (span, published) = self.open(asker, need, index)?;
            let here = skip.min(span.length);
            let part = span.part(here, other.length - done);
            // SAFETY: the span's hazard is published or its mapping kept; `other` as the caller promised.
            unsafe {
                match need {
                    Need::LocalRead => transfer(other.part(done, part.length), part),
                    _ => transfer(part, other.part(done, part.length)),
                }
            }
            self.close(asker, published);
            skip -= here;
            done += part.length;
        }
        Ok(())
    }
}

#[inline]
pub(super) fn target(element: &Sge) -> Target {
    let Sge { address, length, token } = *element;
    Target { token: token.get(), address, length: length.into() }
}
