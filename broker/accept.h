/* accept.h - connections are refused before descriptors run out. Thread: any. */
#pragma once

#include "common/pure/base.h"

#define ACCEPT_KEPT                                                                      \
	64 /* descriptors for databases, objects, pipes; a quarter if there are few */

/** accept_limit() - the process may have @descriptors; most of them may be connections. */
void accept_limit(uint64_t descriptors);
/** accept_prefer() - the listener bound at @url may use the last quarter too: a blob socket. */
void accept_prefer(const char *url);
/** accept_refused() - connections that were turned away so far. */
uint64_t accept_refused(void);
