/* collect.h - after a task: its standard output and error, its outputs, its metrics become contents
 * and blobs of a report. Nothing of the task runs any more, so what is looked at stays as it is.
 *
 * An output is a regular file or a folder of such. Links are followed where they lead to a file
 * within the task's directory; links that leave it, links to folders, devices, sockets and fifos
 * fail the task. Blobs of at most @inline_max bytes go inside the report, the others are noted in
 * it for upload. */
#pragma once

#include "common/format/function.h"
#include "worker/dirs.h"
#include "worker/report.h"

#define INLINE_TOTAL_MAX (1u << 20) /* bytes of blobs inside one report */

struct collect {
	const struct function *function;
	const struct dir *dir; /* outlives the report */
	uint64_t inline_max;
	bool stdout_is_result;
	bool with_outputs; /* false for attempts that failed: logs alone */
	bool without_logs; /* for attempts that are handed back */
	uint64_t
		checkpoint_max; /* bytes of a checkpoint that is taken of a failure; 0: none is */
	/* of a call: the file with its result, or NULL; it should have this size */
	const char *result;
	uint8_t result_type; /* enum content_type */
	uint64_t result_size;
};

/** collect_is_small() - true if collect_run() only has to read two small files. */
bool collect_is_small(const struct collect *c);
/** collect_run() - fill @r. What the task did wrong is a FAILED report (return 0). Return: negative
 * errno if this worker failed: -ENOSPC when it is full. */
int collect_run(const struct collect *c, struct report *r);
