/* support.h - a store in a temporary folder, and short ways to write and read it. */
#pragma once

#include "broker/ledger/ledger.h"

struct store {
	char dir[64];
	struct ledger *ledger;
	struct ledger_reader *reader;
	struct ledger_info info;
	uint64_t step; /* handed in last */
};

void store_init(struct store *s); /* makes the folder and opens it */
void store_fini(struct store *s); /* closes and removes it */
void store_open(struct store *s);
void store_close(struct store *s);
/** store_try_open() - Return: as ledger_open(); nothing is kept open. */
int store_try_open(struct store *s, struct err *e);
/** store_path() - "DIR/name", in a static buffer. */
const char *store_path(const struct store *s, const char *name);
struct ledger_turn *store_turn(struct store *s);
void store_hand_in(struct store *s, struct ledger_turn *t); /* and does not wait */
void store_sync(struct store *s);			    /* all handed in is durable */
void store_put(struct store *s, struct ledger_turn *t);	    /* both */
/** store_wait_state() - until the ledger is in @state; fails the test after 10 s. */
void store_wait_state(struct store *s, enum ledger_state state, struct err *why);
/** store_wait_index() - until index.db covers commit @seq. */
void store_wait_index(struct store *s, uint64_t seq);

void store_wait_index_batch(struct store *s, uint64_t batch); /* the same of a batch */

/* Numbered examples: number @n always gives the same. */
void sample_digest(uint8_t out[DIGEST_SIZE], const char *what, uint64_t n);
struct sample {
	struct commit commit;
	uint8_t args[32], args_hash[DIGEST_SIZE];
	struct commit_output output;
	struct commit_metric metrics[2];
};
void sample_commit(struct sample *sample, uint64_t n);
struct ledger_batch sample_batch(uint64_t number);
/** sample_find() - ledger_find() of example @n. */
int sample_find(struct ledger_reader *r, uint64_t n, struct ledger_hit *hit);
