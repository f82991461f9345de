//! Errors in mappings and in fast registrations.

use crate::list::{Planted, error};

pub(crate) const ERRORS: &[Planted] = &[
    error(
        "E4",
        "a round has a token of its own",
        &[(
            "fast.c",
            "region->is_reachable = true;",
            "region->is_reachable = !region->remote || soft_draw_token(region->adapter, &region->remote);",
        )],
    ),
    error(
        "F5",
        "a fast registration is posted in any domain",
        &[("fast.c", "if (region->domain != domain)", "if (false)")],
    ),
    error(
        "G3",
        "a fast registration goes before an initialisation that pends",
        &[("fast.c", "region->is_live && !region->initialising &&", "region->is_live &&")],
    ),
    error(
        "G4",
        "a page more than initialised for",
        &[("fast.c", "pages <= region->pages", "pages <= region->pages + 1")],
    ),
    error("G4", "no pages at all", &[("fast.c", "return pages && pages <=", "return pages <=")]),
    error(
        "G4",
        "the base address has another offset",
        &[("fast.c", "(base & PAGE_MASK) == fbo &&", "")],
    ),
    error(
        "G4",
        "a length of 0",
        &[("fast.c", "length && length <= ((UINT64)pages", "length <= ((UINT64)pages")],
    ),
    error(
        "G4",
        "the offset takes no room",
        &[("fast.c", "((UINT64)pages << PAGE_SHIFT) - fbo", "((UINT64)pages << PAGE_SHIFT)")],
    ),
    error("G4", "the base address wraps", &[("fast.c", " && length <= UINT64_MAX - base", "")]),
    error(
        "G4",
        "a page that is not aligned",
        &[("fast.c", "if (!mapping || (address & PAGE_MASK))", "if (!mapping)")],
    ),
    error(
        "G4",
        "a base address of 0 is refused",
        &[("fast.c", "return pages && pages <=", "return base && pages && pages <=")],
    ),
    error(
        "G5",
        "remote rights on a region without",
        &[("fast.c", "!region->remote && soft_is_remote(flags)", "false")],
    ),
    error(
        "G7",
        "a valid fast registration is replaced",
        &[(
            "fast.c",
            "(is_valid ? region->is_reachable : !soft_is_in_use(region))",
            "(is_valid ? region->is_reachable : true)",
        )],
    ),
    error(
        "G7",
        "a region that was not initialised",
        &[
            ("fast.c", "region->is_fast && region->is_live &&", "region->is_fast &&"),
            ("fast.c", "return pages && pages <= region->pages &&", "return pages &&"),
            (
                "fast.c",
                "    for (page = 0; page < pages; page++) {",
                "    region->memory.frames = realloc(region->memory.frames, pages * sizeof(uintptr_t));\n    for (page = 0; page < pages; page++) {",
            ),
            ("fast.c", "#include \"soft.h\"", "#include \"soft.h\"\n#include <stdlib.h>"),
        ],
    ),
    error(
        "G8",
        "an invalidation leaves the token live",
        &[(
            "fast.c",
            ": end(domain, (struct soft_region *)object);",
            ": may_change(domain, (struct soft_region *)object, true);",
        )],
    ),
    error(
        "G8",
        "what is not valid is invalidated",
        &[(
            "fast.c",
            "(is_valid ? region->is_reachable : !soft_is_in_use(region))",
            "(is_valid || !soft_is_in_use(region))",
        )],
    ),
    error(
        "G8",
        "a conventional region is invalidated",
        &[(
            "fast.c",
            "bool is_ready = region->is_fast && region->is_live &&",
            "bool is_ready = region->is_live &&",
        )],
    ),
    error(
        "G8",
        "a token is live from the initialisation on",
        &[(
            "region.c",
            "    region->pages = job->of.fast_memory.pages;\n",
            "    region->pages = job->of.fast_memory.pages;\n    region->is_reachable = true; region->flags = 7; region->memory.length = PAGE_SIZE;\n",
        )],
    ),
    error(
        "G9",
        "a peer's invalidation does nothing",
        &[(
            "fast.c",
            "status = end(domain, region); /* Before",
            "status = may_change(domain, region, true); /* Before",
        )],
    ),
    error(
        "G9",
        "a peer invalidates what there is not",
        &[(
            "fast.c",
            "NTSTATUS status = STATUS_ACCESS_VIOLATION;",
            "NTSTATUS status = STATUS_SUCCESS;",
        )],
    ),
    error(
        "H2",
        "a valid fast registration outlives its region",
        &[(
            "region.c",
            "        end_registration(region);\n        destroy(region);",
            "        if (!region->is_fast) {\n            end_registration(region);\n            destroy(region);\n        } else {\n            job->adapter->regions--;\n        }",
        )],
    ),
    error(
        "H8",
        "a lost device maps",
        &[("mapping.c", "    if (adapter->is_lost)\n", "    if (false)\n")],
    ),
    error(
        "L1",
        "logical addresses are the host's",
        &[("mapping.c", "adapter->next_page << PAGE_SHIFT", "frames[0] << PAGE_SHIFT")],
    ),
    error(
        "L1",
        "two mappings have one address",
        &[("mapping.c", "adapter->next_page += job->of.mapping.pages + 1;", "")],
    ),
    error(
        "L2",
        "an element begins in a mapping",
        &[(
            "mapping.c",
            "soft_is_inside(&mapping->memory, address, length)",
            "soft_is_inside(&mapping->memory, address, 1)",
        )],
    ),
    error(
        "L2",
        "a released mapping lives on",
        &[(
            "mapping.c",
            "    mapping = *link;\n    if (mapping) {",
            "    mapping = *link;\n    if (mapping && mapping->memory.accesses) {",
        )],
    ),
    error(
        "L2",
        "a page that is not mapped is left out",
        &[("fast.c", "            return false;", "            continue;")],
    ),
    error(
        "L3",
        "a mapping ends with the last byte",
        &[(
            "mapping.c",
            "(UINT64)job->of.mapping.pages << PAGE_SHIFT",
            "job->of.mapping.mdl->ByteOffset + job->of.mapping.length",
        )],
    ),
    error(
        "L4",
        "the first byte is that of the page",
        &[(
            "mapping.c",
            "*job->of.mapping.first = job->of.mapping.mdl->ByteOffset;",
            "*job->of.mapping.first = 0;",
        )],
    ),
    error(
        "L4",
        "the size needed is not told",
        &[("mapping.c", "        *size = (ULONG)needed;\n", "")],
    ),
    error(
        "L5",
        "the privileged token is good at any address",
        &[(
            "access.c",
            "        *memory = soft_find_mapping(domain->adapter, address, length);\n",
            "        static struct soft_memory none;\n        *memory = soft_find_mapping(domain->adapter, address, length);\n        if (!*memory) {\n            *memory = &none;\n            none.base = address;\n            none.frames = (uintptr_t[16]){address >> PAGE_SHIFT, (address >> PAGE_SHIFT) + 1};\n        }\n",
        )],
    ),
    error(
        "L5",
        "the privileged token is not one",
        &[("access.c", "token == domain->privileged", "false")],
    ),
    error(
        "L6",
        "a mapping pends without a completion",
        &[("mapping.c", "else if (pends && !done)", "else if (false)")],
    ),
];
