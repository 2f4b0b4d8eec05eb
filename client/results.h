/* results.h - reading result pages: what the pages say, in the words of cashet.h. */
#pragma once

#include "client/handle.h"

int results_open(struct cashet *c, const char *batch, struct cashet_results **rp,
		 struct err *e);
int results_next(struct cashet_results *r, const struct cashet_result **resultp,
		 struct err *e);
int results_one(struct cashet *c, const char *batch, uint32_t index,
		struct cashet_results **rp, const struct cashet_result **resultp,
		struct err *e);

/* ---- result_row.c: one row ---- */

struct row { /* one result, and the memory that it points to; reused from row to row */
	struct cashet_result result;
	struct cashet_param *params;
	struct cashet_output *outputs;
	struct cashet_metric *metrics;
	size_t param_capacity, output_capacity, metric_capacity;
	struct buf text;  /* of values that are strings */
	struct buf error; /* when it is made here */
	struct buf arena; /* of a commit */
};

struct row_function {				/* what rows need to know of a function */
	const ProtobufCBinaryData *description; /* borrowed, as the texts below */
	char **params;				/* one allocation with the texts */
	size_t param_count;
	const uint32_t *order; /* borrowed: Function.param_order */
	size_t order_count;
	uint32_t *
		places; /* of each parameter as people see them; NULL: as they are sorted */
	char *const *labels; /* borrowed: Function.params, of a call */
	size_t label_count;
	const char *name;	 /* borrowed from the page */
	const char *const *best; /* borrowed from the page */
	size_t best_count;
	bool read;
};

/** row_function_read() - names of parameters from the canonical description. Return: 0; 1 without
 * memory. A description that is not understood has no names. */
int row_function_read(struct row_function *f);
void row_function_fini(struct row_function *f);
/** row_fill() - @row->result from @t and the arguments of its task. @f may be NULL. Return: 0; 1
 * without memory. */
int row_fill(struct row *row, const Cashet__TaskResult *t,
	     const ProtobufCBinaryData *args, const struct row_function *f);
/** row_fill_commit() - from the canonical bytes of a commit. @f may be NULL. Return: 0; 1
 * malformed. */
int row_fill_commit(struct row *row, const void *body, size_t size,
		    const uint8_t hash[DIGEST_SIZE], const struct row_function *f);
/** row_fill_params() - parameters alone, from canonical arguments. Return: as row_fill(). */
int row_fill_params(struct row *row, const void *args, size_t size,
		    const struct row_function *f);
void row_fini(struct row *row);

/* ---- result_call.c: arguments of calls as parameters ---- */

/** row_fill_labels() - those that the labels name, as far as it has them. Nothing happens if @args are not
 * those of a call. Return: 0; 1 without memory. */
int row_fill_labels(struct row *row, const void *args, size_t size, char *const *labels,
		    size_t label_count);
/** row_fill_all() - all but references and files. Return: 0; 1 malformed, or without memory. */
int row_fill_all(struct row *row, const void *args, size_t size);
