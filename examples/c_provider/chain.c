/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* MDL chains: the rules of section C. */
#include "soft.h"

#include <string.h>

#define PAGE_MASK ((uintptr_t)PAGE_SIZE - 1)
#define LOCKED (MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | MDL_PARTIAL)

static const uintptr_t *frames_of(const MDL *mdl)
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

    return (mdl->MdlFlags & LOCKED) && !((uintptr_t)mdl->StartVa & PAGE_MASK) &&
           mdl->ByteOffset <= PAGE_MASK &&
           /* The size has 16 bits, and says nothing of an MDL that needs more. */
           (needed > UINT16_MAX || (USHORT)mdl->Size >= needed);
}

NTSTATUS soft_check_chain(const MDL *mdl, SIZE_T length, ULONG *pages)
{
    const MDL *seen = mdl; /* Empty MDLs may lead back into themselves: Brent's way to find that. */
    SIZE_T steps = 0, limit = 1;
    uintptr_t base, next, last = 0;

    if (!mdl || !length || length > SOFT_MAX_LENGTH)
        return STATUS_INVALID_PARAMETER;
    base = next = (uintptr_t)mdl->StartVa + mdl->ByteOffset;
    if (length > UINTPTR_MAX - base)
        return STATUS_INVALID_PARAMETER;
    for (;;) {
        if (!is_valid(mdl) || (uintptr_t)mdl->StartVa + mdl->ByteOffset != next)
            return STATUS_INVALID_PARAMETER;
        if (mdl->ByteCount) {
            /* A joint inside a page: both name one frame. */
            if ((next & PAGE_MASK) && next != base && frames_of(mdl)[0] != last)
                return STATUS_INVALID_PARAMETER;
            if (base + length - next <= mdl->ByteCount)
                break;
            next += mdl->ByteCount;
            last = frames_of(mdl)[spanned(mdl->ByteOffset, mdl->ByteCount) - 1];
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
    *pages = (ULONG)spanned(base & PAGE_MASK, length);
    return STATUS_SUCCESS;
}

void soft_copy_frames(const MDL *mdl, SIZE_T length, uintptr_t *frames)
{
    bool is_inside = false; /* A page that an MDL before this one has begun. */

    for (; length; mdl = mdl->Next) {
        SIZE_T count = mdl->ByteCount < length ? mdl->ByteCount : length, skipped, copied;

        if (!count)
            continue;
        skipped = is_inside && mdl->ByteOffset;
        copied = spanned(mdl->ByteOffset, count) - skipped;
        memcpy(frames, frames_of(mdl) + skipped, copied * sizeof *frames);
        frames += copied;
        length -= count;
        is_inside = true;
    }
}
