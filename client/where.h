/* where.h - which broker a client talks to: the order in which people may say so. */
#pragma once

#include "common/err.h"

struct where {
	char *url;	     /* of a broker; or NULL: */
	char *dir;	     /* absolute path of a store directory */
	const char *said_by; /* "--broker", "CASHET_BROKER", ...: for messages */
};

/** where_resolve() - @broker, $CASHET_BROKER, @store, $CASHET_DIR, ./.cashet: the first that is
 * there and not empty. Return: 0 (where_fini() it) or ERR_* in @e; nothing is touched. */
int where_resolve(struct where *w, const char *broker, const char *store, struct err *e);
void where_fini(struct where *w);
