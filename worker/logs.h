/* logs.h - standard output and error of attempts: kept whole when they are the result, otherwise
 * the first and last LOG_KEEP bytes. While a task runs, what is between is given back to the file
 * system by punching holes, so that a talkative task costs 16 MiB and not the disk. */
#pragma once

#include "common/pure/buf.h"

#define LOG_KEEP (8u << 20)

/** log_bound() - punch a hole into the middle of a log that has grown. @punchedp: end of the hole so
 * far, kept by the caller from call to call, 0 at first. A file system that cannot is left alone. */
void log_bound(const char *path, uint64_t *punchedp);
/** log_trim() - write @from, of @size bytes, to @to (empty) as it is kept: head, a line that says
 * how much is left out, tail. Return: 0 or negative errno. */
int log_trim(int from, uint64_t size, int to);
static inline bool log_needs_trim(uint64_t size)
{
	return size > 2 * (uint64_t)LOG_KEEP;
}
/** log_read() - append up to @max bytes of a growing log at *offsetp; an offset within what was
 * given back moves to its end. @size: of the log now. Return: 0 or negative errno. */
int log_read(const char *path, uint64_t *offsetp, uint64_t punched, size_t max,
	     struct buf *out, uint64_t *size);
