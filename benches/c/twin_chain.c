/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* MDL chains: the rules of section C. */
#include "twin.h"

#include <string.h>

#define PAGE_MASK ((uintptr_t)PAGE_SIZE - 1)
#define LOCKED (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)

static const uintptr_t *frames(const MDL *mdl)
{
    return (const uintptr_t *)(mdl + 1);
}

static SIZE_T spanned(uint64_t offset, uint64_t count)
{
    return (SIZE_T)((offset + count + PAGE_MASK) >> PAGE_SHIFT);
}

static bool is_valid(const MDL *mdl)
{
    SIZE_T needed = sizeof(MDL) + spanned(mdl->ByteOffset, mdl->ByteCount) * sizeof(uintptr_t);
    return (mdl->MdlFlags & LOCKED) && !((uintptr_t)mdl->StartVa & PAGE_MASK) && mdl->ByteOffset <= PAGE_MASK &&
           /* The size has 16 bits, and says nothing of an MDL that needs more. */
           (needed > UINT16_MAX || (USHORT)mdl->Size >= needed);
}

static NTSTATUS check_chain(const MDL *mdl, SIZE_T length, ULONG *pages)
{
    if (!mdl || !length)
        return STATUS_INVALID_PARAMETER;
    uintptr_t base = (uintptr_t)mdl->StartVa + mdl->ByteOffset, next = base, last = 0;
    if (length > UINTPTR_MAX - base)
        return STATUS_INVALID_PARAMETER;
    uintptr_t end = base + length;
    const MDL *seen = mdl; /* Brent's cycle detection: empty MDLs may lead back into themselves. */
    SIZE_T steps = 0, limit = 1;
    for (;;) {
        if (!is_valid(mdl) || (uintptr_t)mdl->StartVa + mdl->ByteOffset != next)
            return STATUS_INVALID_PARAMETER;
        if (mdl->ByteCount) {
            /* A joint inside a page: both name one frame. */
            if ((next & PAGE_MASK) && next != base && frames(mdl)[0] != last)
                return STATUS_INVALID_PARAMETER;
            if (end - next <= mdl->ByteCount)
                break;
            next += mdl->ByteCount;
            last = frames(mdl)[spanned(mdl->ByteOffset, mdl->ByteCount) - 1];
        }
        mdl = mdl->Next;
        if (!mdl || mdl == seen)
            return STATUS_INVALID_PARAMETER;
        if (++steps == limit) {
            seen = mdl;
            steps = 0;
            limit *= 2;
        }
    }
    if (length > TWIN_MAX_LENGTH)
        return STATUS_INVALID_PARAMETER;
    *pages = (ULONG)spanned(base & PAGE_MASK, length);
    return STATUS_SUCCESS;
}

static void copy_pages(const MDL *mdl, SIZE_T length, uintptr_t *pages)
{
    bool inside = false; /* The page before goes on. */
    for (;; mdl = mdl->Next) {
        SIZE_T count = mdl->ByteCount < length ? mdl->ByteCount : length;
        if (!count)
            continue;
        SIZE_T skipped = inside && mdl->ByteOffset, copied = spanned(mdl->ByteOffset, count) - skipped;
        memcpy(pages, frames(mdl) + skipped, copied * sizeof(uintptr_t));
        pages += copied;
        length -= count;
        inside = true;
        if (!length)
            return;
    }
}
