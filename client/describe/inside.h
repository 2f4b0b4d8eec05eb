/* inside.h - of describers: what is wanted of them, and what one process is asked. */
#pragma once

#include "client/batch/map.h"
#include "client/describe/describe.h"
#include "client/describe/recall.h"

#define GROUP_MAX 128 /* targets of one process */

struct language {
	const char *name, *title, *end, *program;
	const char *env[3]; /* what it is asked for that changes answers */
};

struct wanted {
	struct describe_target t;
	const struct language *language;
	const char *group; /* equal texts can be asked together */
	const char *line;  /* what the program is told */
	struct described d;
	uint8_t key[DIGEST_SIZE];
	bool has_key, answered;
};

struct describe_group { /* what one process is asked */
	struct wanted *items[GROUP_MAX];
	size_t count;
	char *program, *python; /* heap */
};

struct describer {
	struct arena arena;
	struct map map; /* key to number */
	struct wanted **items;
	uint32_t count, capacity, first_open;
	struct describe_options options;
	struct recall recall;
};

/** describe_no_program() - all of the group cannot be described, and why: each says it. */
void describe_no_program(struct describer *d, struct describe_group *g, const char *name,
			 const char *message, const char *next);
struct cashet_descriptions;
/** descriptions_described() - what the answer @number of cashet_describe() was made of; @d's. */
const struct described *descriptions_described(struct cashet_descriptions *d,
					       size_t number);
/** describe_ask() - start the program, and read what it says; all of the group is answered, ok or
 * not. Return: 0; ERR_FAILED out of memory; what idle() returned. */
int describe_ask(struct describer *d, struct describe_group *g, struct err *e);
