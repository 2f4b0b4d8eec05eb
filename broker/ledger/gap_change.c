/* gap_change.c - removals as entries of the gap: made by the writer when it removes, and again from
 * the table changes for an index that is behind, so there is one place that knows what they mean. */
#include "broker/ledger/gap.h"

#include <string.h>

struct maker {
	void (*put)(void *arg, const struct gap_add *add);
	void *arg;
};

static void put(const struct maker *m, enum gap_kind kind, const uint8_t *key,
		size_t size, uint64_t seq, bool gone)
{
	struct gap_add add = {.kind = kind, .entry = {.seq = seq, .gone = gone}};
	memcpy(add.entry.key, key, size);
	m->put(m->arg, &add);
}

static void put_tags(const struct maker *m, const uint8_t *keys, size_t size,
		     uint64_t seq)
{
	for (size_t at = 0; at + 8 <= size; at += 8)
		put(m, GAP_TAG, keys + at, 8, seq, true);
}

/* Which of them is a name is not said: what is in no list is taken out of none. */
static void put_names(const struct maker *m, const uint8_t *keys, size_t size,
		      uint64_t seq)
{
	for (size_t at = 0; at + 8 <= size; at += 8)
		put(m, GAP_NAME, keys + at, 8, seq, true);
}

int gap_change(enum gap_change change, uint64_t number, const uint8_t *keys, size_t size,
	       void (*fn)(void *arg, const struct gap_add *add), void *arg)
{
	const struct maker m = {fn, arg};
	const uint8_t *fingerprint = keys + DIGEST_SIZE,
		      *name = fingerprint + DIGEST_SIZE;
	bool is_commit = change == CHANGE_COMMIT_GONE || change == CHANGE_RUN_GONE;
	size_t least = is_commit ? 2 * DIGEST_SIZE + 8 : DIGEST_SIZE;
	if (size < least)
		return 1;
	switch (change) {
	case CHANGE_COMMIT_GONE:
		put(&m, GAP_FINGERPRINT, fingerprint, DIGEST_SIZE, number, true);
		__attribute__((fallthrough));
	case CHANGE_RUN_GONE:
		put(&m, GAP_COMMIT, keys, DIGEST_SIZE, number, true);
		put(&m, GAP_RUN, fingerprint, 8, number, true);
		put(&m, GAP_NAME, name, 8, number, true);
		put_tags(&m, name + 8, size - least, number);
		put_names(&m, name + 8, size - least, number);
		return 0;
	case CHANGE_DEMOTED:
		put(&m, GAP_FINGERPRINT, keys, DIGEST_SIZE, number, true);
		put(&m, GAP_RUN, keys, 8, number, false);
		return 0;
	case CHANGE_BLOB_GONE:
		put(&m, GAP_BLOB, keys, DIGEST_SIZE, number, true);
		return 0;
	case CHANGE_BATCH_GONE:
		put(&m, GAP_BATCH, keys, DIGEST_SIZE, number, true);
		put_tags(&m, keys + DIGEST_SIZE, size - DIGEST_SIZE, number);
		return 0;
	case CHANGE_COMMIT_LOST:
		put(&m, GAP_COMMIT, keys, DIGEST_SIZE, number, true);
		put(&m, GAP_LOST, keys, 8, number, false);
		return 0;
	}
	return 1;
}
