/* commit.h - the record of one finished execution, named by the SHA-256 of its canonical bytes.
 *
 * Deterministic CBOR, scheme 1, one array with the fields of struct commit in order, headed by
 * "cashet.commit", 1. Absent digests are null; without a source the array ends before it.
 * Immutable: nothing is ever edited. */
#pragma once

#include "common/format/content.h"

enum commit_status { COMMIT_COMPLETED = 0, COMMIT_FAILED = 1 };

struct commit_metric {
	const char *name; /* sorted bytewise, no duplicate */
	bool is_text;
	const char *text;
	double number;
};

struct commit_output {
	const char *name, *path;
	struct content content;
	uint64_t size;
};

/* All pointers are borrowed: from the caller when encoding, from the arena when decoding. */
struct commit {
	uint8_t status;	  /* enum commit_status */
	const char *name; /* the task's name, for people; never identity */
	uint8_t func_hash[DIGEST_SIZE];
	const uint8_t *args; /* resolved canonical bytes; args_hash is their SHA-256 */
	size_t args_size;
	bool has_nonce;
	uint8_t nonce[NONCE_SIZE];
	bool has_parent;
	uint8_t parent[DIGEST_SIZE]; /* the commit that it supersedes */
	struct content result;	     /* CONTENT_NONE for failures */
	uint64_t result_size;
	bool has_stdout, has_stderr;
	uint8_t stdout_digest[DIGEST_SIZE], stderr_digest[DIGEST_SIZE];
	uint64_t stdout_size, stderr_size; /* bytes of the blobs (logs are trimmed) */
	struct commit_output *outputs;	   /* sorted by name */
	size_t output_count;
	struct commit_metric *metrics;
	size_t metric_count;
	int32_t exit_code;   /* of the last attempt; -1 if none */
	int32_t term_signal; /* 0 if none */
	const char *error;   /* failures: what and why; "" otherwise */
	uint64_t ended_wall_ms;
	uint64_t duration_ns;
	uint64_t cpu_user_ns, cpu_system_ns, max_rss_bytes;
	uint32_t attempts;
	const char *worker_name;
	uint8_t worker_key[KEY_SIZE];
	uint64_t epoch;		    /* of the lease */
	uint8_t batch[DIGEST_SIZE]; /* the task under which it ran */
	uint32_t index;
	uint64_t ttl_s; /* 0: none */
	const uint8_t *
		options; /* packed cashet.Options of proto: to run it again; opaque here */
	size_t options_size;
	bool has_source; /* functions by source, and commands with code that is hashed as syntax */
	uint8_t source[DIGEST_SIZE]; /* what code it was: source.h */
};

void commit_encode(struct buf *out, const struct commit *c);
/** commit_decode() - @arena is an empty buf that the caller keeps alive and frees: strings and
 * arrays of @c live in it, args and options point into @data. Return: 0, 1 if malformed. */
int commit_decode(const void *data, size_t size, struct commit *c, struct buf *arena);
