//! Errors in memory windows.

use crate::list::{Planted, error};

pub(crate) const ERRORS: &[Planted] = &[
    error(
        "D2",
        "a region with a window is deregistered",
        &[(
            "region.c",
            "    if (status == STATUS_SUCCESS && region->windows)\n        status = STATUS_DEVICE_BUSY; /* [D2] */\n",
            "",
        )],
    ),
    error(
        "D2",
        "the status does not say that there is a window",
        &[(
            "region.c",
            "status = STATUS_DEVICE_BUSY; /* [D2] */",
            "status = STATUS_INVALID_DEVICE_STATE;",
        )],
    ),
    error(
        "D2",
        "a closed window counts on",
        &[("window.c", "    if (window->region)\n        unbind(window);\n", "")],
    ),
    error(
        "D2",
        "several windows count as one",
        &[("window.c", "region->windows++;", "region->windows = 1;")],
    ),
    error(
        "D2",
        "a window is bound beyond its region",
        &[(
            "window.c",
            "!soft_is_inside(&region->memory, address, length)",
            "!soft_is_inside(&region->memory, address, 0)",
        )],
    ),
    error(
        "D2",
        "a window is bound to what is not registered",
        &[("window.c", "!region->is_fast && region->is_reachable &&", "!region->is_fast &&")],
    ),
    error(
        "F1",
        "a window ends with its region",
        &[(
            "window.c",
            "window->memory.length = length;",
            "window->memory.length = region->memory.length - (address - region->memory.base);",
        )],
    ),
    error(
        "F1",
        "a window begins with its region",
        &[
            (
                "window.c",
                "window->memory.frames = region->memory.frames + (first >> PAGE_SHIFT);",
                "window->memory.frames = region->memory.frames; (void)first;",
            ),
            (
                "window.c",
                "    window->memory.base = address;\n    window->memory.length = length;",
                "    window->memory.base = region->memory.base;\n    window->memory.length = address - region->memory.base + length;",
            ),
        ],
    ),
    error(
        "F4",
        "a window has its region's rights",
        &[(
            "access.c",
            "flags = region ? region->flags : window->flags;",
            "flags = region ? region->flags : window->region->flags;",
        )],
    ),
    error(
        "F5",
        "a window's token is good in every domain",
        &[(
            "window.c",
            "window && window->domain == domain ? window : NULL; /* [F5] */",
            "window;",
        )],
    ),
    error(
        "F5",
        "a window is bound over another domain's region",
        &[("window.c", "if (region->domain != domain || window->domain", "if (window->domain")],
    ),
    error(
        "F5",
        "another domain's window is bound",
        &[(
            "window.c",
            "region->domain != domain || window->domain != domain ||",
            "region->domain != domain ||",
        )],
    ),
    error(
        "F5",
        "another domain's window is invalidated",
        &[(
            "window.c",
            "    if (window->domain != domain)\n        return STATUS_INVALID_PARAMETER;\n    if (!window->region",
            "    if (!window->region",
        )],
    ),
    error(
        "G8",
        "a bound window is bound",
        &[(
            "window.c",
            "               !window->region && !window->memory.accesses &&",
            "               !window->memory.accesses &&",
        )],
    ),
    error(
        "G8",
        "an invalidated window stays",
        &[(
            "window.c",
            "    unbind(window);\n    return STATUS_SUCCESS;\n}\n\n/* ---- What",
            "    return STATUS_SUCCESS;\n}\n\n/* ---- What",
        )],
    ),
    error(
        "H3",
        "a region does not wait for its windows",
        &[(
            "region.c",
            "region->requests == 0 && region->windows == 0)\n        return soft_start",
            "region->requests == 0)\n        return soft_start",
        )],
    ),
    error(
        "H3",
        "a region waits for its windows for ever",
        &[(
            "window.c",
            "    soft_region_rests(region); /* Its close may be waiting [H3]. */\n",
            "",
        )],
    ),
    error(
        "H7",
        "a window is bound to a region that is being closed",
        &[("window.c", "!region->is_busy && !region->is_closing &&", "!region->is_busy &&")],
    ),
];
