/* flags.h - which flags of a compiler a source may have: those that say how code is generated and what
 * macros and headers it finds. None of them names a program, a plugin, or a file outside. */
#pragma once

#include "common/pure/buf.h"

struct flags {
	const char *
		*list; /* as they are given to the compiler, -I with absolute folders */
	size_t count, capacity;
	const char **folders; /* of -I, absolute */
	size_t folder_count, folder_capacity;
	bool links_others; /* -lNAME that is not of the system's */
	bool trigraphs;	   /* -std= of the standard's */
};

void flags_fini(struct flags *f);
/**
 * flags_add() - one more
 * @roots: folders that -I DIR is relative to; the first that has it counts
 * @problem: what is wrong, appended
 *
 * Return: 0; 1 if it is not allowed.
 */
int flags_add(struct flags *f, const char *flag, const char *const *roots,
	      size_t root_count, struct buf *problem);
/** flags_is_identity() - does it count in the identity? -I does not: what it finds does. */
bool flags_is_identity(const char *flag);
/** flags_is_parsed() - does it change how the source is read, so that libclang is given it? */
bool flags_is_parsed(const char *flag);
