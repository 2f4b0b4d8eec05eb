/* specs.h - what the tasks of a batch are, from its recorded chunks. A large batch has hundreds of
 * them, a megabyte each: only those are read that hold what is asked for. */
#pragma once

#include "broker/ledger/ledger.h"

struct specs; /* of one batch */

struct specs_task {
	uint32_t function; /* number within the batch */
	const uint8_t *args, *nonce;
	size_t args_size, nonce_size;
	const uint8_t *packed; /* the whole cashet.TaskSpec */
	size_t packed_size;
};
/** specs_get() - the specs of the batch @row; kept in *@cachep until another one is asked for, and
 * read by @r. NULL: gone. */
struct specs *specs_get(struct specs **cachep, struct ledger_reader *r,
			const struct ledger_batch_row *row);
void specs_free(struct specs *s);
/** specs_task() - borrowed until the next call. Return: 0; 1 if there is none. */
int specs_task(struct specs *s, uint32_t index, struct specs_task *out);
/** specs_function(), specs_options(), specs_group() - packed, borrowed as long as @s is not asked for
 * more; *@optionsp: number of the function's options. NULL: there is none with this number. */
const uint8_t *specs_function(struct specs *s, uint32_t number, size_t *sizep,
			      uint32_t *optionsp);
const uint8_t *specs_options(struct specs *s, uint32_t number, size_t *sizep);
const uint8_t *specs_group(struct specs *s, uint32_t number, size_t *sizep);
/** specs_batch_info() - the packed BatchInfo. NULL: there is none. */
const uint8_t *specs_batch_info(const struct specs *s, size_t *sizep);
/** specs_count_functions() - of the whole batch; reads all of it. */
uint32_t specs_count_functions(struct specs *s);
/** specs_info() - append the packed BatchInfo of a recorded chunk 0. */
void specs_info(struct buf *out, const struct buf *chunk);
