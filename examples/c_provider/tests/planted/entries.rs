//! Errors in what a region's entries take, and in the states in which they take it.

use crate::list::{Planted, error};

pub(crate) const ERRORS: &[Planted] = &[
    error(
        "A2",
        "a region has no version",
        &[("region.c", "    region->ndk.Header.Version = adapter->ndk.Header.Version;\n", "")],
    ),
    error(
        "A2",
        "an entry is missing",
        &[("region.c", "    .NdkQueryExtension = query_extension,\n", "")],
    ),
    error(
        "A3",
        "the reserved block is written",
        &[(
            "region.c",
            "    region->is_live = region->is_reachable = true;",
            "    region->is_live = region->is_reachable = true;\n    *(char *)&region->ndk.Header.NdkReserved = 1;",
        )],
    ),
    error(
        "A4",
        "the table tells what is a region",
        &[(
            "region.c",
            "object && object->ObjectType == NdkObjectTypeMr",
            "object && ((NDK_MR *)object)->Dispatch == &soft_region_table",
        )],
    ),
    error(
        "A5",
        "an unknown extension is a wrong argument",
        &[(
            "adapter.c",
            "return object && id && out ? STATUS_NOT_SUPPORTED :",
            "return object && id && out ? STATUS_INVALID_PARAMETER :",
        )],
    ),
    error(
        "A6",
        "null is followed",
        &[(
            "region.c",
            "object && object->ObjectType == NdkObjectTypeMr",
            "object->ObjectType == NdkObjectTypeMr",
        )],
    ),
    error(
        "A6",
        "an object of another type is taken",
        &[("region.c", "object && object->ObjectType == NdkObjectTypeMr", "object")],
    ),
    error(
        "A7",
        "a registration without a completion",
        &[(
            "region.c",
            "    if (!region || !done)\n        return STATUS_INVALID_PARAMETER;\n    pthread_mutex_lock(&region->adapter->lock);\n    job = job_of(region, NDK_CONFORMANCE_REGISTER, context);",
            "    if (!region)\n        return STATUS_INVALID_PARAMETER;\n    pthread_mutex_lock(&region->adapter->lock);\n    job = job_of(region, NDK_CONFORMANCE_REGISTER, context);",
        )],
    ),
    error("C1", "bits that are no flags", &[("region.c", "(flags & ~0xFu)", "(flags & ~0x1Fu)")]),
    error(
        "C1",
        "half of the right to write",
        &[("region.c", "(!(flags & 0x4) || (flags & 0x1))", "true")],
    ),
    error(
        "C1",
        "a region without rights is refused",
        &[("region.c", "return !(flags & ~0xFu) &&", "return flags && !(flags & ~0xFu) &&")],
    ),
    error(
        "C3",
        "a joint inside a page of two frames",
        &[(
            "chain.c",
            "            if ((next & PAGE_MASK) && next != base && frames_of(mdl)[0] != last)\n                return STATUS_INVALID_PARAMETER;\n",
            "",
        )],
    ),
    error(
        "C3",
        "the page of a joint counts twice",
        &[("chain.c", "skipped = is_inside && mdl->ByteOffset;", "skipped = 0;")],
    ),
    error(
        "C4",
        "a hole in the chain",
        &[("chain.c", " || (uintptr_t)mdl->StartVa + mdl->ByteOffset != next)", ")")],
    ),
    error(
        "C4",
        "an MDL without room for its frames",
        &[("chain.c", "(needed > UINT16_MAX || (USHORT)mdl->Size >= needed)", "true")],
    ),
    error(
        "C4",
        "an MDL that does not start at a page",
        &[("chain.c", "!((uintptr_t)mdl->StartVa & PAGE_MASK) &&", "")],
    ),
    error("C4", "an offset of a page", &[("chain.c", "mdl->ByteOffset <= PAGE_MASK &&", "")]),
    error(
        "C5",
        "a length beyond the chain",
        &[(
            "chain.c",
            "        if (!mdl || mdl == seen)\n            return STATUS_INVALID_PARAMETER;",
            "        if (!mdl)\n            break;\n        if (mdl == seen)\n            return STATUS_INVALID_PARAMETER;",
        )],
    ),
    error("C6", "a length of 0", &[("chain.c", "!mdl || !length ||", "!mdl ||")]),
    error(
        "C7",
        "addresses that wrap",
        &[(
            "chain.c",
            "    if (length > UINTPTR_MAX - base)\n        return STATUS_INVALID_PARAMETER;\n",
            "",
        )],
    ),
    error(
        "C8",
        "more than the most",
        &[("chain.c", "length > SOFT_MAX_LENGTH", "length > 2 * SOFT_MAX_LENGTH")],
    ),
    error(
        "C8",
        "the most is too much",
        &[("chain.c", "length > SOFT_MAX_LENGTH", "length >= SOFT_MAX_LENGTH")],
    ),
    error(
        "C11",
        "a fast-register region is registered",
        &[(
            "region.c",
            "fits = fits && !region->is_fast && !region->is_live;",
            "fits = fits && !region->is_live;",
        )],
    ),
    error(
        "C12",
        "a registered region is registered",
        &[(
            "region.c",
            "fits = fits && !region->is_fast && !region->is_live;",
            "fits = fits && !region->is_fast;",
        )],
    ),
    error(
        "C14",
        "a region more than there is room for",
        &[("region.c", "adapter->regions >= adapter->limit", "adapter->regions > adapter->limit")],
    ),
    error("C15", "a chain that is not locked", &[("chain.c", "(mdl->MdlFlags & LOCKED) &&", "")]),
    error(
        "C15",
        "the chain is read after the registration",
        &[
            (
                "region.c",
                "    soft_copy_frames(mdl, job->of.memory.length, frames); /* The chain is not needed any more [C15]. */\n",
                "    free(frames);\n    frames = (uintptr_t *)(mdl + 1);\n",
            ),
            (
                "region.c",
                "    free(region->memory.frames);\n    region->memory.frames = NULL;\n",
                "",
            ),
        ],
    ),
    error(
        "D1",
        "what is not registered is deregistered",
        &[(
            "region.c",
            "fits = fits && !region->is_fast && region->is_live;",
            "fits = fits && !region->is_fast;",
        )],
    ),
    error(
        "D1",
        "a fast-register region is deregistered",
        &[(
            "region.c",
            "fits = fits && !region->is_fast && region->is_live;",
            "fits = fits && region->is_live;",
        )],
    ),
    error(
        "D5",
        "a registration clears a byte",
        &[(
            "region.c",
            "    region->memory.length = job->of.memory.length;\n",
            "    region->memory.length = job->of.memory.length;\n    *((char *)(frames[0] << PAGE_SHIFT) + (region->memory.base & 0xFFF)) ^= 1;\n",
        )],
    ),
    error(
        "E1",
        "the tokens outlive the registration",
        &[("region.c", "    region->local = region->remote = 0;\n", "")],
    ),
    error(
        "E1",
        "a region without remote rights has a remote token",
        &[(
            "region.c",
            "draw_tokens(region, soft_is_remote(job->of.memory.flags))",
            "draw_tokens(region, true)",
        )],
    ),
    error(
        "E1",
        "the rights of a local writer have a remote token",
        &[(
            "region.c",
            "return flags & remote & ~NDK_MR_FLAG_ALLOW_LOCAL_WRITE;",
            "return flags & remote;",
        )],
    ),
    error(
        "G1",
        "a conventional region is initialised",
        &[(
            "region.c",
            "fits = fits && region->is_fast && !soft_is_in_use(region);",
            "fits = fits && !soft_is_in_use(region);",
        )],
    ),
    error(
        "G2",
        "initialised for no page",
        &[(
            "region.c",
            "    if (status == STATUS_SUCCESS && pages == 0)\n        status = STATUS_INVALID_PARAMETER;\n",
            "",
        )],
    ),
    error(
        "G2",
        "initialised for a page too many",
        &[("region.c", "pages > SOFT_FAST_PAGES", "pages > SOFT_FAST_PAGES + 1")],
    ),
    error(
        "G3",
        "a valid fast registration is initialised",
        &[(
            "region.c",
            "fits = fits && region->is_fast && !soft_is_in_use(region);",
            "fits = fits && region->is_fast;",
        )],
    ),
    error(
        "G3",
        "the first initialisation decides",
        &[(
            "region.c",
            "    region->pages = job->of.fast_memory.pages;\n",
            "    region->pages = region->pages ? region->pages : job->of.fast_memory.pages;\n",
        )],
    ),
    error(
        "H6",
        "a closed region counts on",
        &[("region.c", "    region->adapter->regions--;\n", "")],
    ),
    error(
        "H7",
        "a region that is being closed is registered",
        &[(
            "region.c",
            "bool fits = !region->is_closing && !region->is_busy;",
            "bool fits = !region->is_busy;",
        )],
    ),
    error(
        "H7",
        "a region that is being closed has tokens",
        &[("region.c", "    if (region->is_closing)\n        token = 0;\n", "")],
    ),
    error(
        "H7",
        "a region is closed twice",
        &[(
            "region.c",
            "    if (region->is_closing)\n        return soft_answer(region->adapter, STATUS_INVALID_DEVICE_STATE); /* [H7] */\n",
            "    if (region->is_closing)\n        return soft_answer(region->adapter, STATUS_PENDING);\n",
        )],
    ),
    error(
        "H8",
        "a lost device registers",
        &[(
            "region.c",
            "return region->adapter->is_lost ? STATUS_DEVICE_REMOVED : STATUS_SUCCESS;",
            "return STATUS_SUCCESS;",
        )],
    ),
    error(
        "H8",
        "a lost device initialises",
        &[(
            "region.c",
            "return region->adapter->is_lost ? STATUS_DEVICE_REMOVED : STATUS_SUCCESS;",
            "return region->adapter->is_lost && operation != NDK_CONFORMANCE_INITIALIZE ? STATUS_DEVICE_REMOVED : STATUS_SUCCESS;",
        )],
    ),
];
