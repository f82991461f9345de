//! Errors on the way to the bytes.

use crate::list::{Change, Planted, error};

/// An access that takes its time, so that something can end meanwhile. It is no error.
const SLOW: Change = (
    "access.c",
    "        memcpy(is_read",
    "        nanosleep(&(struct timespec){0, 200000}, NULL);\n        memcpy(is_read",
);
const CLOCK: Change = (
    "access.c",
    "#include \"soft.h\"",
    "#define _POSIX_C_SOURCE 200809L\n#include <time.h>\n#include \"soft.h\"",
);

pub(crate) const ERRORS: &[Planted] = &[
    error(
        "C2",
        "an address is taken for memory's",
        &[(
            "access.c",
            "(char *)(memory->frames[place >> PAGE_SHIFT] << PAGE_SHIFT) + offset",
            "(char *)(uintptr_t)(memory->base + place - (memory->base & PAGE_MASK))",
        )],
    ),
    error(
        "C3",
        "pages are taken for adjacent",
        &[(
            "access.c",
            "memory->frames[place >> PAGE_SHIFT]",
            "(memory->frames[0] + (place >> PAGE_SHIFT))",
        )],
    ),
    error(
        "C9",
        "bounds are those of whole pages",
        &[(
            "access.c",
            "length <= memory->length - before",
            "length <= ((memory->length + PAGE_MASK) & ~PAGE_MASK) - before",
        )],
    ),
    error(
        "C10",
        "a read sink is not enough for what is read",
        &[(
            "access.c",
            "flags & (NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_RDMA_READ_SINK)",
            "flags & NDK_MR_FLAG_ALLOW_LOCAL_WRITE",
        )],
    ),
    error(
        "F4",
        "a read sink lets a peer write",
        &[(
            "access.c",
            "(flags & NDK_MR_FLAG_ALLOW_REMOTE_WRITE) == NDK_MR_FLAG_ALLOW_REMOTE_WRITE",
            "(flags & NDK_MR_FLAG_RDMA_READ_SINK) || (flags & NDK_MR_FLAG_ALLOW_REMOTE_WRITE) == 5",
        )],
    ),
    error(
        "D3",
        "a deregistration does not wait for accesses",
        &[
            SLOW,
            CLOCK,
            (
                "region.c",
                "while (region->memory.accesses)\n        pthread_cond_wait(&region->adapter->changed, &region->adapter->lock);\n}",
                "\n}",
            ),
        ],
    ),
    error(
        "D3",
        "a registration that has ended can be reached",
        &[
            ("region.c", "region->is_reachable = false;", ""),
            ("region.c", "region->local = region->remote = 0;\n", ""),
        ],
    ),
    error(
        "D4",
        "a token is the region's address",
        &[(
            "region.c",
            "(is_remote && !soft_draw_token(region->adapter, &remote))",
            "(is_remote && !(remote = (UINT32)((uintptr_t)region >> 4)))",
        )],
    ),
    error(
        "E3",
        "a local token is a peer's too",
        &[(
            "access.c",
            "region->is_reachable && region->remote == token",
            "region->is_reachable && (region->remote == token || region->local == token)",
        )],
    ),
    error(
        "E3",
        "a peer's token is a local one too",
        &[(
            "access.c",
            "region->is_reachable && region->local == token",
            "region->is_reachable && (region->remote == token || region->local == token)",
        )],
    ),
    error(
        "E6",
        "the privileged token is a peer's too",
        &[(
            "access.c",
            "!is_peers(access) && token == domain->privileged",
            "token == domain->privileged",
        )],
    ),
    error(
        "F1",
        "the end is one byte too late",
        &[(
            "access.c",
            "length <= memory->length - before",
            "length <= memory->length - before + 1",
        )],
    ),
    error(
        "F1",
        "the beginning is one byte too early",
        &[(
            "access.c",
            "before = address - memory->base;",
            "before = address + 1 - memory->base; before -= before > 0;",
        )],
    ),
    error(
        "F1",
        "the end is not looked at",
        &[(
            "access.c",
            "before <= memory->length && length <= memory->length - before",
            "before <= memory->length",
        )],
    ),
    error(
        "F1",
        "the beginning is not looked at",
        &[(
            "access.c",
            "return before <= memory->length && length <= memory->length - before;",
            "return (int64_t)(before + length) <= (int64_t)memory->length;",
        )],
    ),
    error(
        "F2",
        "the sum of address and length wraps",
        &[(
            "access.c",
            "return before <= memory->length && length <= memory->length - before;",
            "return address >= memory->base && before + length <= memory->length;",
        )],
    ),
    error(
        "F3",
        "nothing may be accessed with no length",
        &[("access.c", "(length && !soft_is_inside", "(!length || !soft_is_inside")],
    ),
    error(
        "F3",
        "what has no length has bounds",
        &[("access.c", "(length && !soft_is_inside", "(!soft_is_inside")],
    ),
    error(
        "F4",
        "any bit of the right to write will do",
        &[(
            "access.c",
            "(flags & NDK_MR_FLAG_ALLOW_REMOTE_WRITE) == NDK_MR_FLAG_ALLOW_REMOTE_WRITE",
            "flags & NDK_MR_FLAG_ALLOW_REMOTE_WRITE",
        )],
    ),
    error(
        "F4",
        "the right to read is not asked for",
        &[("access.c", "return flags & NDK_MR_FLAG_ALLOW_REMOTE_READ;", "return true;")],
    ),
    error(
        "F4",
        "the right to write lets a peer read",
        &[(
            "access.c",
            "return flags & NDK_MR_FLAG_ALLOW_REMOTE_READ;",
            "return flags & (NDK_MR_FLAG_ALLOW_REMOTE_READ | 4);",
        )],
    ),
    error(
        "F4",
        "a message goes where nothing may be written",
        &[("access.c", "return flags & NDK_MR_FLAG_ALLOW_LOCAL_WRITE;", "return true;")],
    ),
    error(
        "F4",
        "a message goes into a read sink",
        &[(
            "access.c",
            "return flags & NDK_MR_FLAG_ALLOW_LOCAL_WRITE;",
            "return flags & (NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_RDMA_READ_SINK);",
        )],
    ),
    error(
        "F4",
        "what is read goes where nothing may be written",
        &[(
            "access.c",
            "return flags & (NDK_MR_FLAG_ALLOW_LOCAL_WRITE | NDK_MR_FLAG_RDMA_READ_SINK);",
            "return true;",
        )],
    ),
    error(
        "F4",
        "bytes come with a refusal",
        &[(
            "access.c",
            "    if (status == STATUS_SUCCESS) {\n        memory->accesses++;",
            "    if (status != STATUS_SUCCESS && length && access == NDK_CONFORMANCE_READ)\n        *(char *)bytes ^= 1;\n    if (status == STATUS_SUCCESS) {\n        memory->accesses++;",
        )],
    ),
    error(
        "F5",
        "a peer's token is good in every domain",
        &[(
            "access.c",
            "region && region->domain == domain ? region : NULL; /* [F5] */",
            "region;",
        )],
    ),
    error(
        "F5",
        "a local token is good in every domain",
        &[(
            "access.c",
            "region && region->domain == domain ? region : NULL;\n}\n\n/* Whether a region's flags",
            "region;\n}\n\n/* Whether a region's flags",
        )],
    ),
    error(
        "H3",
        "a closed region's tokens are live",
        &[(
            "region.c",
            "        end_registration(region);\n        destroy(region);",
            "        job->adapter->regions--;",
        )],
    ),
    error(
        "H8",
        "a lost device goes on",
        &[(
            "access.c",
            "    if (domain->adapter->is_lost)\n        return STATUS_DEVICE_REMOVED;\n",
            "",
        )],
    ),
];
