/* history.h - answers about the history, in the words of cashet.h. */
#pragma once

#include "client/handle.h"

/** Memory that goes as a whole, for results that are handed out. */
struct keep {
	struct keep_block *blocks;
	bool failed; /* an allocation did; NULL was returned */
};
void *keep_alloc(struct keep *k, size_t count, size_t size); /* zeroed */
void keep_fini(struct keep *k);

/** commit_from() - texts stay those of @row; its tags are in @k. */
void commit_from(struct cashet_commit *out, const Cashet__CommitRow *row, struct keep *k);
/** origins_from() - as commit_from(); @count: of the commits that they may number. */
const struct cashet_origin *origins_from(Cashet__GraphInput *const *inputs, size_t count,
					 size_t source_count, struct keep *k);
/** content_from() - NONE if it is not there or malformed. */
struct cashet_content content_from(const Cashet__Content *in);

/* ---- questions about many commits ---- */

struct conditions { /* a CommitsQuery and what it points to */
	Cashet__CommitsQuery message;
	Cashet__BatchRef batch;
	uint8_t bytes[DIGEST_SIZE];
	Cashet__Pair *pairs, **pair_pointers;
	uint32_t *any_value;
};
/** conditions_init() - what @f asks for. Return: 0, ERR_* in @e; conditions_fini() in any case. */
int conditions_init(struct conditions *q, const struct cashet_commits_filter *f,
		    struct err *e);
void conditions_fini(struct conditions *q);
