//! Errors in how requests end, and in the lives of objects.

use crate::list::{Planted, error};

pub(crate) const ERRORS: &[Planted] = &[
    error(
        "A1",
        "a pending creation stores its object too",
        &[(
            "domain.c",
            "    if (status == STATUS_SUCCESS)\n        *out = (NDK_MR *)job.made; /* Only then [A1]. */",
            "    *out = (NDK_MR *)job.made;",
        )],
    ),
    error(
        "A1",
        "a failed creation delivers an object",
        &[(
            "job.c",
            "status == STATUS_SUCCESS ? job->made : NULL",
            "job->made ? job->made : &job->adapter->ndk.Header",
        )],
    ),
    error(
        "A8",
        "every minor version is served",
        &[("adapter.c", " || version->Minor > highest)", ")")],
    ),
    error(
        "A8",
        "the version that was asked for is given",
        &[("adapter.c", "    version->Minor = highest;\n", "")],
    ),
    error(
        "B1",
        "an inline status, and a completion",
        &[(
            "job.c",
            "    status = perform(job);\n    leave(job, status);",
            "    status = perform(job);\n    pthread_mutex_unlock(&adapter->lock);\n    call(job, status);\n    pthread_mutex_lock(&adapter->lock);\n    leave(job, status);",
        )],
    ),
    error(
        "B2",
        "a completion comes twice",
        &[(
            "job.c",
            "    call(&job, status);\n",
            "    call(&job, status);\n    call(&job, status);\n",
        )],
    ),
    error(
        "B2",
        "the context is forgotten",
        &[("job.c", "job->done.request(job->context, status)", "job->done.request(NULL, status)")],
    ),
    error(
        "B2",
        "a completion is forgotten",
        &[("job.c", "        job->done.request(job->context, status);", "        (void)status;")],
    ),
    error(
        "B3",
        "an early completion is an inline status",
        &[(
            "job.c",
            "            pthread_mutex_unlock(&adapter->lock);\n            return STATUS_PENDING;",
            "            pthread_mutex_unlock(&adapter->lock);\n            return adapter->pace == NDK_CONFORMANCE_EARLY ? STATUS_SUCCESS : STATUS_PENDING;",
        )],
    ),
    error(
        "B4",
        "the state is the new one after the completion only",
        &[
            (
                "region.c",
                "        region->is_busy = false;\n        return status == STATUS_SUCCESS ? register_memory(job) : status;",
                "        return status == STATUS_SUCCESS ? register_memory(job) : status;",
            ),
            (
                "region.c",
                "void soft_region_rests(struct soft_region *region)\n{\n",
                "void soft_region_rests(struct soft_region *region)\n{\n    region->is_busy = false;\n",
            ),
        ],
    ),
    error(
        "B6",
        "a failed registration keeps the region busy",
        &[(
            "region.c",
            "        region->is_busy = false;\n        return status == STATUS_SUCCESS ? register_memory(job) : status;",
            "        if (status != STATUS_SUCCESS)\n            return status;\n        region->is_busy = false;\n        return register_memory(job);",
        )],
    ),
    error(
        "B7",
        "a failed deregistration ends the registration",
        &[(
            "region.c",
            "        if (status == STATUS_SUCCESS)\n            end_registration(region);",
            "        end_registration(region);",
        )],
    ),
    error(
        "E2",
        "a token is drawn twice",
        &[("token.c", "(uint16_t)adapter->tokens++;", "(uint16_t)(adapter->tokens++ / 2);")],
    ),
    error(
        "E5",
        "tokens are counted",
        &[("token.c", "*token = (UINT32)left << 16 | right;", "*token = adapter->tokens;")],
    ),
    error(
        "E5",
        "half of a token is counted",
        &[(
            "token.c",
            "*token = (UINT32)left << 16 | right;",
            "*token = (UINT32)left << 16 | (adapter->tokens & 0xFFFF);",
        )],
    ),
    error(
        "E5",
        "a bit of each token is set",
        &[(
            "token.c",
            "*token = (UINT32)left << 16 | right;",
            "*token = (UINT32)left << 16 | right | 0x40;",
        )],
    ),
    error(
        "H1",
        "a close gives a status that it has not",
        &[(
            "region.c",
            "    if (region->requests == 0 && region->windows == 0)\n        return soft_start(&job, is_slow(region, 0));",
            "    if (region->is_live)\n        return region->is_closing = false, soft_answer(region->adapter, STATUS_DEVICE_BUSY);\n    if (region->requests == 0 && region->windows == 0)\n        return soft_start(&job, is_slow(region, 0));",
        )],
    ),
    error(
        "H2",
        "a close does not wait for requests",
        &[(
            "region.c",
            "    if (region->requests == 0 && region->windows == 0)\n        return soft_start",
            "    if (region)\n        return soft_start",
        )],
    ),
    error("H2", "a close cancels nothing", &[("region.c", "    soft_cancel(region);\n", "")]),
    error(
        "H4",
        "a domain does not wait for its regions",
        &[(
            "domain.c",
            "    if (domain->children == 0)\n        return soft_start",
            "    if (domain)\n        return soft_start",
        )],
    ),
    error(
        "H4",
        "a domain's close completes in a region's",
        &[(
            "domain.c",
            "        soft_queue(&domain->close);",
            "        NDK_FN_CLOSE_COMPLETION done = domain->close.done.close;\n        PVOID context = domain->close.context;\n        struct soft_adapter *adapter = domain->adapter;\n\n        adapter->domains--;\n        adapter->children--;\n        free(domain);\n        pthread_mutex_unlock(&adapter->lock);\n        done(context);\n        pthread_mutex_lock(&adapter->lock);",
        )],
    ),
    error(
        "H5",
        "the adapter does not wait for domains",
        &[("adapter.c", "    wait_for_all(adapter);\n", "")],
    ),
    error(
        "H5",
        "the adapter is closed inside a completion",
        &[("adapter.c", "soft_inside() == adapter", "false")],
    ),
    error(
        "H7",
        "a domain that is being closed has regions made",
        &[(
            "domain.c",
            "    if (domain->is_closing)\n        return soft_answer(domain->adapter, STATUS_INVALID_DEVICE_STATE);\n    if (domain->adapter->is_lost)",
            "    if (domain->adapter->is_lost)",
        )],
    ),
    error(
        "H8",
        "what waits is not ended with the device",
        &[(
            "hooks.c",
            "            job->is_decided = true;\n            job->status = STATUS_DEVICE_REMOVED;\n",
            "            (void)job;\n",
        )],
    ),
    error(
        "H8",
        "an initialisation that waits is not ended with the device",
        &[(
            "hooks.c",
            "if (adapter->held >> job->operation & 1) {",
            "if (job->operation != NDK_CONFORMANCE_INITIALIZE && adapter->held >> job->operation & 1) {",
        )],
    ),
    error(
        "H8",
        "a mapping that waits is not ended with the device",
        &[(
            "hooks.c",
            "if (adapter->held >> job->operation & 1) {",
            "if (job->operation != NDK_CONFORMANCE_BUILD_LAM && adapter->held >> job->operation & 1) {",
        )],
    ),
    error(
        "H8",
        "a creation that waits is not ended with the device",
        &[(
            "hooks.c",
            "if (adapter->held >> job->operation & 1) {",
            "if (job->operation != NDK_CONFORMANCE_CREATE_MR && adapter->held >> job->operation & 1) {",
        )],
    ),
    error(
        "K1",
        "the attribute says another page count",
        &[(
            "adapter.c",
            "info->FRMRPageCount = SOFT_FAST_PAGES;",
            "info->FRMRPageCount = 2 * SOFT_FAST_PAGES;",
        )],
    ),
    error(
        "L5",
        "all domains have one privileged token",
        &[(
            "domain.c",
            "                     ? ((struct soft_domain *)pd)->privileged\n",
            "                     ? 0x5a5a5a5a\n",
        )],
    ),
    error(
        "L5",
        "the privileged token changes",
        &[(
            "domain.c",
            "                     ? ((struct soft_domain *)pd)->privileged\n",
            "                     ? ++((struct soft_domain *)pd)->privileged\n",
        )],
    ),
];
