/* report.h - what an attempt came to: an Outcome with all that it points to, kept until the broker
 * has acknowledged it, and sent again after each reconnect. */
#pragma once

#include "common/err.h"
#include "common/format/content.h"
#include "proto/cashet.pb-c.h"

/* A blob that did not travel inline: where it still is, in case the store asks for it again. */
struct report_blob {
	uint8_t digest[DIGEST_SIZE];
	uint64_t size;
	const char *path; /* absolute; or NULL: @data */
	const void *data;
};

struct report {
	Cashet__Outcome outcome;
	Cashet__Content out, err;
	Cashet__Checkpoint checkpoint;
	Cashet__Content checkpoint_content;
	uint64_t inline_bytes;
	struct report_blob *blobs;
	size_t blob_count, blob_capacity;
	size_t inline_capacity;
	struct report_chunk *chunks; /* memory of everything that hangs below */
};

struct report *report_new(void);
void report_free(struct report *r);
/** report_alloc() - zeroed memory that lives as long as @r. */
void *report_alloc(struct report *r, size_t size);
char *report_text(struct report *r,
		  const char *text); /* a copy; invalid UTF-8 is escaped */
/** report_fail() - kind and text; a report that is not COMPLETED any more keeps its first reason. */
void report_fail(struct report *r, Cashet__Outcome__Kind kind, const char *fmt, ...)
	PRINTF(3, 4);
void report_content(struct report *r, Cashet__Content *c, enum content_type type,
		    const uint8_t digest[DIGEST_SIZE], uint64_t size);
/** report_inline() - send @size bytes inside the message (a copy). */
void report_inline(struct report *r, const void *data, size_t size);
/** report_blob() - note a blob for upload. @path, @data: living as long as @r. */
void report_blob(struct report *r, const uint8_t digest[DIGEST_SIZE], uint64_t size,
		 const char *path, const void *data);
/** report_size() - about how many bytes of a message it takes. */
size_t report_size(const struct report *r);
