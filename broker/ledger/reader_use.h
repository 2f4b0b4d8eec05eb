/* reader_use.h - uses of commits that the writer has not summed up yet, see journal_chores.c. */
#pragma once

#include "broker/ledger/ledger.h"

struct use {
	uint64_t seq, last_used_ms, hits;
};

struct use_rest {
	struct use *items; /* by seq, each once */
	size_t count, capacity;
	size_t max;    /* items to take; 0: all */
	uint64_t more; /* hits that were not taken */
};

/** use_rest_read() - Return: 0 or negative errno. */
int use_rest_read(struct use_rest *rest, struct ledger_reader *r);
void use_rest_fini(struct use_rest *rest);
/** use_rest_add() - what there is of this commit, to its row. */
void use_rest_add(const struct use_rest *rest, struct ledger_commit_row *row);
