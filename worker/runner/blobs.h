/* blobs.h - what the references of a call stand for, brought to this machine: small ones as bytes, large
 * ones as descriptors that the runner maps, folders and files of the submitter's as paths. */
#pragma once

#include "common/task/frames.h"
#include "worker/fetch.h"
#include "worker/runner/memory.h"

#define BLOB_INLINE_MAX 65536u	      /* bytes of one that goes inside the frame */
#define BLOB_INLINE_TOTAL (16u << 20) /* of all of them */

struct call_blobs {
	struct frame_blob *items; /* bytes, digest: within memory below */
	size_t count, capacity;
	int fds[FRAME_DESCRIPTORS_MAX];
	size_t fd_count;
	struct buf digests; /* DIGEST_SIZE bytes of each item, in order */
	void **texts;	    /* what the items point to */
	size_t text_count, text_capacity;
	uint64_t inline_bytes;
	bool has_paths;
};

/** blobs_gather() - all that @args name. Folders and files go below @dir (absolute, empty, the call's
 * own). Thread: any. On LAYOUT_MISSING: @missing. */
enum layout_result blobs_gather(struct call_blobs *b, const struct args *args,
				const struct layout_extern *externs, size_t extern_count,
				const char *dir, const struct layout_source *source,
				uint8_t missing[DIGEST_SIZE], struct err *e);
/** blobs_remembered() - the same at once, if all that @args name is small and in @memory.
 * Return: NULL if something is not. Thread: the loop's. */
struct call_blobs *blobs_remembered(const struct args *args, struct memory *memory);
/** blobs_remember() - for the next call. Thread: the loop's. */
void blobs_remember(const struct call_blobs *b, struct memory *memory);
void blobs_free(struct call_blobs *b); /* or NULL */
