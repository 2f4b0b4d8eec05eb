/* fsck.h - is a store what it should be? Reading only; whoever serves the store may repair what is
 * found (broker/care/fsck.c).
 *
 * What is looked at: every commit's hash, canonical form, parent and place in the index; every small
 * blob, every file's form, and the bytes of as many files as asked for; the chunks of batches, and that
 * what batches need that go on is there; pins; the counters. Bytes of results that are not there are
 * no fault: gc removes them before their records. */
#pragma once

#include "broker/ledger/ledger.h"
#include "broker/store/cas.h"

enum fsck_kind { /* to add one: its word in fsck_words[] and in PROTOCOL.md */
		 FSCK_COMMIT_DAMAGED,
		 FSCK_COMMIT_MALFORMED,
		 FSCK_PARENT_WRONG,
		 FSCK_INDEX_WRONG,
		 FSCK_BLOB_DAMAGED, /* a small one: @seq */
		 FSCK_FILE_CORRUPT,
		 FSCK_BATCH_DAMAGED,
		 FSCK_INPUT_MISSING,
		 FSCK_PIN_DANGLING,
		 FSCK_COUNTERS_WRONG,
		 FSCK_RUNS_AGAIN, /* no fault of its own: what follows from one */
		 FSCK_KINDS,
};
extern const char *const fsck_words[FSCK_KINDS];

struct fsck_finding {
	enum fsck_kind kind;
	uint64_t seq;	       /* of the commit, batch or small blob */
	const uint8_t *digest; /* of the blob, or NULL */
	const uint8_t *commit; /* hash, or NULL */
	const char *name;      /* of the task that runs again, of the pin; or "" */
	const char *what;
};

struct fsck_sums {
	uint64_t commits, blobs, read_bytes, problems;
	struct ledger_counters counters, counted; /* as recorded, as they are */
	struct cas_counts objects; /* when the store was opened, as they were */
	bool objects_differ;	   /* from what was recorded then */
};

struct fsck_options {
	unsigned percent; /* of the files are read whole */
	uint64_t seed;	  /* which ones */
	bool (*stopped)(void *arg);
	void (*progress)(void *arg, const char *phase, uint64_t done, uint64_t total);
	/* Of whoever has the store open: what was recorded of the files when it was opened, and whether
	 * that has to be right, or may not be after a crash. NULL: nobody has it open. */
	const struct cas_counts *recorded;
	bool recorded_surely;
	/* Everything in @finding is valid during the call only. */
	void (*found)(void *arg, const struct fsck_finding *finding);
	/* What was found so far is to be repaired now, if at all: what comes next depends on it. NULL:
	 * nothing is. */
	void (*settle)(void *arg);
	void *arg;
};

/** fsck_run() - Return: 0; 1 stopped; negative errno: the store cannot be read at all. */
int fsck_run(struct ledger_reader *reader, struct cas *cas,
	     const struct fsck_options *options, struct fsck_sums *sums);

/** fsck_pack() - append @f as field `findings` of a CareReport. */
void fsck_pack(struct buf *out, const struct fsck_finding *f, bool repaired);
