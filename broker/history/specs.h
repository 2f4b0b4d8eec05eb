/* specs.h - what the tasks of a batch are, from its recorded chunks. */
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
/** specs_get() - the specs of batch @number; kept in *@cachep until another one is asked for.
 * NULL: gone. */
struct specs *specs_get(struct specs **cachep, struct ledger_reader *r, uint64_t number,
			uint32_t chunk_count);
void specs_free(struct specs *s);
/** specs_task() - borrowed until the next call. Return: 0; 1 if there is none. */
int specs_task(struct specs *s, struct ledger_reader *r, uint32_t index,
	       struct specs_task *out);
/** specs_function(), specs_options() - packed; *@optionsp: number of the function's options.
 * NULL: there is none with this number. */
const uint8_t *specs_function(const struct specs *s, uint32_t number, size_t *sizep,
			      uint32_t *optionsp);
const uint8_t *specs_options(const struct specs *s, uint32_t number, size_t *sizep);
/** specs_batch_info(), specs_group() - the packed BatchInfo; a packed Group. NULL: there is none. */
const uint8_t *specs_batch_info(const struct specs *s, size_t *sizep);
const uint8_t *specs_group(const struct specs *s, uint32_t number, size_t *sizep);
uint32_t specs_function_count(const struct specs *s);
/** specs_info() - append the packed BatchInfo of a recorded chunk 0. */
void specs_info(struct buf *out, const struct buf *chunk);
